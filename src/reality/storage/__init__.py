"""Where nodes live. Memory is the default; read `memory` first."""
