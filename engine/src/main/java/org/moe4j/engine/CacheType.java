package org.moe4j.engine;

/** In what numbers the keys and values of past tokens are kept. */
public enum CacheType {
  /** Half precision: 2 bytes a number. */
  F16,
  /** 8 bits, with a scale for each position and head: half the memory, errors below a percent. */
  Q8
}
