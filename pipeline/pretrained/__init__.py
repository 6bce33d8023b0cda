"""Pretrained networks, from files on this machine: clips in, features out. Nothing is downloaded."""
