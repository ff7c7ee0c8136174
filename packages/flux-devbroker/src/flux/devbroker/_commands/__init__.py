"""The commands that start brokers, which the distribution brings to ``flux``."""
