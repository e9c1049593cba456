"""`fv2es view`: a page on this machine alone, to look at an output and its videos and to say where a label is wrong."""
