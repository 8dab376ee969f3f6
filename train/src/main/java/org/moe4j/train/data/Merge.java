package org.moe4j.train.data;

/** Two neighbouring tokens that become one. */
record Merge(int left, int right, int merged) {}
