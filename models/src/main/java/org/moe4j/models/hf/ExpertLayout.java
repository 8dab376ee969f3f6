package org.moe4j.models.hf;

/** In what form a checkpoint keeps routed experts. */
public enum ExpertLayout {
  /** As the family was released; mostly three tensors per expert. */
  RELEASED("per-expert"),
  /** Two stacked tensors per layer: what transformers 5 holds in memory. */
  FUSED("fused");

  private final String label;

  ExpertLayout(String label) {
    this.label = label;
  }

  /** The name on the command line. */
  public String label() {
    return label;
  }
}
