"""The one place that joins labels, captions and shards: dataset, batches, sampler, loading."""
