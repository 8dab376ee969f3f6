package org.moe4j.lab;

import java.util.Collection;

/** What an experiment says of its paper's claim. */
public enum Verdict {
  /** The effect is there, larger than what counts and than what seeds alone make. */
  HOLDS("holds"),
  /** The effect is smaller than what counts, or than what seeds alone make. */
  DOES_NOT_SHOW("does not show at this scale"),
  /** The opposite effect is there, as clearly as the claimed one would have to be. */
  CONTRADICTS("contradicts");

  private final String label;

  Verdict(String label) {
    this.label = label;
  }

  /** In words: {@code does not show at this scale}. */
  public String label() {
    return label;
  }

  /** Of several parts of a claim: it holds if all do, and one that contradicts settles it. */
  public static Verdict all(Collection<Verdict> parts) {
    if (parts.contains(CONTRADICTS)) {
      return CONTRADICTS;
    }
    return parts.isEmpty() || parts.contains(DOES_NOT_SHOW) ? DOES_NOT_SHOW : HOLDS;
  }
}
