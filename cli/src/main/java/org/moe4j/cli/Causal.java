package org.moe4j.cli;

import java.util.Locale;
import org.moe4j.Causality;

/** How lists tell which other tokens a decision depends on. */
final class Causal {
  private Causal() {}

  static String yesOrNo(boolean causal) {
    return causal ? "yes" : "no";
  }

  /** The word: {@code looks-around}. */
  static String label(Causality causality) {
    return causality.name().toLowerCase(Locale.ROOT).replace('_', '-');
  }

  /** For instance {@code no: looks at later tokens or other sequences}. */
  static String sentence(Causality causality) {
    return yesOrNo(causality.decodes())
        + ": "
        + switch (causality) {
          case PER_TOKEN -> "looks at no other tokens";
          case PAST -> "looks at earlier tokens of the same sequence alone";
          case TRAINING_ONLY -> "looks at other tokens in training alone, at none afterwards";
          case LOOKS_AROUND -> "looks at later tokens or other sequences";
        };
  }
}
