"""The revisions of one serving process: loaded, asked, unloaded, retired."""
