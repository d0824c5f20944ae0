"""Settings and errors. Importing it switches every library's telemetry and hub look-ups off."""

from config.offline import go_offline

go_offline()
