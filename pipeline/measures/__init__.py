"""What can be measured of clips without any weights: by the evaluation, and while a training goes on."""
