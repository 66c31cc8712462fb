"""The split at the gate: what a bulk load holds becomes its households' portions, or is lost, to the gram."""
