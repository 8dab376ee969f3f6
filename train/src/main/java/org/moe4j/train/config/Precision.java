package org.moe4j.train.config;

/** Floating-point precision of computing or of storing. */
public enum Precision {
  FP32,
  BF16
}
