"""The gateway's configuration: one table of routes and limits in, what Envoy reads out."""
