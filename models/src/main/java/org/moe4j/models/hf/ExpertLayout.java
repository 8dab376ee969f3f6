package org.moe4j.models.hf;

import java.util.Locale;

/** In what form a checkpoint keeps routed experts. */
public enum ExpertLayout {
  /** As the family was released; mostly three tensors per expert. */
  RELEASED,
  /** Two stacked tensors per layer, as transformers 5 has them in memory. */
  FUSED;

  /** The name on the command line. */
  public String label() {
    return name().toLowerCase(Locale.ROOT);
  }
}
