"""The bus between services: records in key order, at least once, on one of two transports."""
