"""Past one machine: bulk classification, studies, searches and training on a Ray cluster, or on Ray on this machine."""
