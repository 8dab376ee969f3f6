package org.moe4j.models.hf;

/** In what form a checkpoint keeps routed experts. */
public enum ExpertLayout {
  /** As the family was released; mostly three tensors per expert. */
  RELEASED,
  /** Two stacked tensors per layer: what transformers 5 holds in memory. */
  FUSED
}
