"""What only watches a run: loggers, progress, throughput, profiler. No stage is hashed on it: it changes no byte."""
