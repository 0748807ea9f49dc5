"""The client for browsers as it is served: built by `npm run build` in clients/js."""
