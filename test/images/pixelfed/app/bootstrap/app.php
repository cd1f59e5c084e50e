<?php

return Standin\Application::instance();
