//! Orders the nodes of a graph and tracks which are ready, running and done.
