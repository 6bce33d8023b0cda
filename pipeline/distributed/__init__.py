"""Devices, process groups and launching: the only place that knows torch.distributed."""
