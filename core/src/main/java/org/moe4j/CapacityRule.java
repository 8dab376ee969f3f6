package org.moe4j;

import org.moe4j.tensor.MoeException;

/** How many slots an expert has for a group of tokens. */
public sealed interface CapacityRule {
  /** As many as are asked for. */
  CapacityRule UNLIMITED = new Unlimited();

  /** Slots of one expert for {@code tokens} (S) tokens that choose {@code k} of {@code experts}. */
  long slots(long tokens, int experts, int k);

  /** No limit. */
  record Unlimited() implements CapacityRule {
    @Override
    public long slots(long tokens, int experts, int k) {
      return tokens;
    }
  }

  /** The same number whatever the group. */
  record Fixed(long slots) implements CapacityRule {
    public Fixed {
      if (slots < 1) {
        throw new MoeException("a fixed capacity of " + slots + " slots; give at least 1");
      }
    }

    @Override
    public long slots(long tokens, int experts, int k) {
      return slots;
    }
  }

  /** A fraction of the group's tokens, rounded up: ceil(fraction * S). */
  record Fraction(double fraction) implements CapacityRule {
    public Fraction {
      if (!(fraction > 0 && fraction <= 1)) {
        throw new MoeException("a capacity of " + fraction + " of the tokens; give 0 < f <= 1");
      }
    }

    @Override
    public long slots(long tokens, int experts, int k) {
      return (long) Math.ceil(fraction * (double) tokens);
    }
  }

  /**
   * A factor on the tokens, rounded up, whose k choices are shared out in whole slots, at least 1:
   * max(1, k ceil(factor S) / E) (FastMoE's GShard gate, S08).
   */
  record WholeTokens(double factor) implements CapacityRule {
    public WholeTokens {
      if (!(factor > 0) || Double.isInfinite(factor)) {
        throw new MoeException("a capacity factor of " + factor + "; give a number above 0");
      }
    }

    @Override
    public long slots(long tokens, int experts, int k) {
      return Math.max(1, (long) Math.ceil(factor * (double) tokens) * k / experts);
    }
  }

  /** How a fractional number of slots becomes a whole one. */
  enum Rounding {
    FLOOR,
    CEIL,
    HALF_EVEN;

    long apply(double value) {
      return (long)
          switch (this) {
            case FLOOR -> Math.floor(value);
            case CEIL -> Math.ceil(value);
            case HALF_EVEN -> Math.rint(value);
          };
    }
  }

  /**
   * A factor on the even share S / E. The two conventions of the literature are explicit: with
   * {@code timesK} the share is S k / E.
   *
   * @param factor the capacity factor
   * @param timesK whether the share counts all k choices
   * @param wholeShare the share is rounded up before the factor (fairseq)
   * @param rounding of the product
   * @param atMostTokens never more slots than the group has tokens (Mesh)
   * @param multiple rounded up to a multiple of this
   * @param minimum at least this many slots
   */
  record Factor(
      double factor,
      boolean timesK,
      boolean wholeShare,
      Rounding rounding,
      boolean atMostTokens,
      long multiple,
      long minimum)
      implements CapacityRule {
    public Factor {
      if (!(factor > 0) || Double.isInfinite(factor)) {
        throw new MoeException("a capacity factor of " + factor + "; give a number above 0");
      }
      if (multiple < 1 || minimum < 0) {
        throw new MoeException(
            "a capacity with multiple "
                + multiple
                + " and minimum "
                + minimum
                + "; give a multiple of at least 1 and a minimum of at least 0");
      }
    }

    /** A factor with a rounding, nothing else. */
    public Factor(double factor, boolean timesK, Rounding rounding) {
      this(factor, timesK, false, rounding, false, 1, 0);
    }

    @Override
    public long slots(long tokens, int experts, int k) {
      double all = (double) tokens * (timesK ? k : 1);
      double raw = wholeShare ? factor * Math.ceil(all / experts) : all * factor / (double) experts;
      long slots = rounding.apply(raw);
      if (atMostTokens) {
        slots = Math.min(slots, tokens);
      }
      slots = (slots + multiple - 1) / multiple * multiple;
      slots = Math.max(slots, minimum);
      if (slots < 1) {
        throw new MoeException(
            "capacity factor "
                + factor
                + " leaves no slot for "
                + tokens
                + " tokens and "
                + experts
                + " experts; raise the factor or give a minimum");
      }
      return slots;
    }
  }
}
