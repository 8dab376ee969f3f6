package org.moe4j.models.hf;

import java.util.OptionalInt;
import java.util.Set;

/**
 * Token ids with a meaning of their own, as a checkpoint's configuration names them.
 *
 * @param bos begins a text, if there is such a token
 * @param eos any of them ends a text
 * @param pad fills batches, if there is such a token
 */
public record SpecialTokens(OptionalInt bos, Set<Integer> eos, OptionalInt pad) {
  /** No special tokens. */
  public static final SpecialTokens NONE =
      new SpecialTokens(OptionalInt.empty(), Set.of(), OptionalInt.empty());

  /** Copies the set. */
  public SpecialTokens {
    eos = Set.copyOf(eos);
  }

  /** Only an end of text. */
  public static SpecialTokens endingWith(int eos) {
    return new SpecialTokens(OptionalInt.empty(), Set.of(eos), OptionalInt.empty());
  }
}
