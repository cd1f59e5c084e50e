<?php
// What upstream ships below storage: a list of cities (here a short one) and default pictures.
$cities = [];
for ($i = 1; $i <= 2500; $i++) {
    $cities[] = ['name' => "City $i", 'country' => 'NL', 'lat' => 52.0, 'lng' => 4.0 + $i / 1000];
}
file_put_contents('storage/app/cities.json', json_encode($cities));
file_put_contents('standin/cities.sha512', hash_file('sha512', 'storage/app/cities.json'));
file_put_contents('storage/app/bouncer/all.json', '[]');
foreach (['avatars/default.jpg', 'avatars/default.png', 'headers/default.jpg', 'headers/missing.png', 'no-preview.png', 'emoji/missing.png'] as $file) {
    $picture = imagecreatetruecolor(200, 200);
    str_ends_with($file, '.png') ? imagepng($picture, "storage/app/public/$file") : imagejpeg($picture, "storage/app/public/$file");
}
