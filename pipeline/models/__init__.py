"""Networks: tensors in, tensors out. They know no files, devices, optimizers or losses."""
