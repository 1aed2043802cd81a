"""Getting what SOURCE names onto this machine: downloads, hubs, archives."""
