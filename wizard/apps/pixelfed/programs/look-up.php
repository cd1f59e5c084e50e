<?php
/**
 * Resolves `names` (JSON) as ActivityPub\Helpers::resolvePublicIps does (0.12.9 and later). With `ask` it also connects by curl,
 * as Pixelfed does, for at most `seconds`.
 */

$seen = [];
foreach (json_decode($values['names']) as $name) {
  $records = array_merge(@dns_get_record($name.'.', DNS_A) ?: [], @dns_get_record($name.'.', DNS_AAAA) ?: []);
  $seen[$name] = ['addresses' => array_values(array_unique(array_map(fn ($one) => $one['ip'] ?? $one['ipv6'], $records)))];
  if (!$values['ask'] || !$records) continue;
  $curl = curl_init("https://$name/");
  curl_setopt_array($curl, [CURLOPT_CONNECT_ONLY => true, CURLOPT_TIMEOUT => $values['seconds']]);
  if (curl_exec($curl) === false && curl_getinfo($curl, CURLINFO_APPCONNECT_TIME_T) === 0) $seen[$name]['error'] = curl_error($curl);
}
echo json_encode($seen), PHP_EOL;
