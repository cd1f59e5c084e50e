<?php
/** Creates missing pictures in one plain colour. `files` are separated by commas, and are below `folder`. */

foreach (explode(',', $values['files']) as $file) {
  $path = $values['folder'].'/'.$file;
  if (is_file($path) && filesize($path) > 0) continue;
  if (!is_dir(dirname($path))) mkdir(dirname($path), 0755, true);
  $picture = imagecreatetruecolor(400, 400);
  imagefill($picture, 0, 0, imagecolorallocate($picture, 222, 226, 230));
  str_ends_with($path, '.png') ? imagepng($picture, $path) : imagejpeg($picture, $path);
}
