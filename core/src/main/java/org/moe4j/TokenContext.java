package org.moe4j;

import java.util.Optional;
import org.jspecify.annotations.Nullable;
import org.moe4j.tensor.DType;
import org.moe4j.tensor.MoeException;
import org.moe4j.tensor.RandomSource;
import org.moe4j.tensor.Tensor;

/**
 * All that a router may know of the T = B * S tokens besides their hidden states: B sequences of S
 * tokens each, one behind the other. Immutable; the {@code with} methods return changed copies. A
 * model makes one per forward pass and gives each layer {@link #atLayer its own view}.
 */
public final class TokenContext {
  private final Phase phase;
  private final long sequences;
  private final long length;
  private int layer;
  private @Nullable Tensor ids;
  private @Nullable Tensor left;
  private @Nullable Tensor sequenceIndex;
  private @Nullable Tensor domains;
  private @Nullable Tensor padding;
  private @Nullable RandomSource random;
  private CarriedState carried = new CarriedState();

  private TokenContext(Phase phase, long sequences, long length) {
    this.phase = phase;
    this.sequences = sequences;
    this.length = length;
  }

  /** A context of {@code sequences} (B) sequences of {@code length} (S) tokens each. */
  public static TokenContext of(Phase phase, long sequences, long length) {
    if (sequences < 0 || length < 0) {
      throw new MoeException(
          "a token context needs sequences and length of at least 0, not "
              + sequences
              + " and "
              + length);
    }
    return new TokenContext(phase, sequences, length);
  }

  /** A training context; all noise comes from {@code random}. */
  public static TokenContext train(long sequences, long length, RandomSource random) {
    return of(Phase.TRAIN, sequences, length).withRandom(random);
  }

  /** An evaluation context. */
  public static TokenContext eval(long sequences, long length) {
    return of(Phase.EVAL, sequences, length);
  }

  /** A decoding context: {@code length} new tokens of each sequence. */
  public static TokenContext decode(long sequences, long length) {
    return of(Phase.DECODE, sequences, length);
  }

  private TokenContext copy() {
    TokenContext c = new TokenContext(phase, sequences, length);
    c.layer = layer;
    c.ids = ids;
    c.left = left;
    c.sequenceIndex = sequenceIndex;
    c.domains = domains;
    c.padding = padding;
    c.random = random;
    c.carried = carried;
    return c;
  }

  /** The same tokens as layer {@code layer} sees them; the carried state is shared. */
  public TokenContext atLayer(int layer) {
    TokenContext c = copy();
    c.layer = layer;
    return c;
  }

  /** The context where each token has become {@code parts} rows that follow each other (S41). */
  public TokenContext split(int parts) {
    TokenContext c = new TokenContext(phase, sequences, length * parts);
    c.layer = layer;
    c.ids = repeated(ids, parts);
    c.sequenceIndex = repeated(sequenceIndex, parts);
    c.domains = repeated(domains, parts);
    c.padding = repeated(padding, parts);
    c.random = random;
    c.carried = carried;
    return c;
  }

  private static @Nullable Tensor repeated(@Nullable Tensor perToken, int parts) {
    return perToken == null ? null : perToken.repeatInterleave(parts, 0);
  }

  /** With the vocabulary ids of the tokens: T elements, I64. */
  public TokenContext withIds(Tensor ids) {
    TokenContext c = copy();
    c.ids = perToken("ids", ids);
    return c;
  }

  /**
   * With the ids of the tokens before these, for a pass that goes on with sequences: [B,P] I64, P
   * of each sequence, the nearest last.
   */
  public TokenContext withLeft(Tensor ids) {
    if (ids.dim() != 2 || ids.size(0) != sequences) {
      throw new MoeException(
          "the ids before these tokens are " + ids + ", but there are " + sequences + " sequences");
    }
    TokenContext c = copy();
    c.left = ids;
    return c;
  }

  /** With a number per token that says which text it belongs to, for packed sequences: T, I64. */
  public TokenContext withSequenceIndex(Tensor index) {
    TokenContext c = copy();
    c.sequenceIndex = perToken("sequence index", index);
    return c;
  }

  /** With a domain, language, task or modality number per token: T elements, I64. */
  public TokenContext withDomains(Tensor domains) {
    TokenContext c = copy();
    c.domains = perToken("domains", domains);
    return c;
  }

  /** With a mask of T elements, BOOL: true marks a real token, false padding. */
  public TokenContext withPadding(Tensor real) {
    TokenContext c = copy();
    c.padding = perToken("padding mask", real);
    if (real.dtype() != DType.BOOL) {
      throw new MoeException("the padding mask is " + real + "; give a BOOL tensor, true = real");
    }
    return c;
  }

  /** With a source of random numbers. */
  public TokenContext withRandom(RandomSource random) {
    TokenContext c = copy();
    c.random = random;
    return c;
  }

  private Tensor perToken(String what, Tensor t) {
    if (t.numel() != tokens()) {
      throw new MoeException(
          "the " + what + " have the shape " + t + ", but there are " + tokens() + " tokens");
    }
    return t.reshape(tokens());
  }

  /** What the pass is for. */
  public Phase phase() {
    return phase;
  }

  /** True in the training phase. */
  public boolean training() {
    return phase.training();
  }

  /** B, the number of sequences. */
  public long sequences() {
    return sequences;
  }

  /** S, the tokens of each sequence. */
  public long length() {
    return length;
  }

  /** T = B * S. */
  public long tokens() {
    return sequences * length;
  }

  /** The index of the layer that is being computed. */
  public int layer() {
    return layer;
  }

  /** Vocabulary ids, [T] I64. */
  public Optional<Tensor> ids() {
    return Optional.ofNullable(ids);
  }

  /** Ids of the tokens before these, [B,P] I64; absent if the sequences begin here. */
  public Optional<Tensor> left() {
    return Optional.ofNullable(left);
  }

  /** The text each token belongs to, [T] I64. */
  public Optional<Tensor> sequenceIndex() {
    return Optional.ofNullable(sequenceIndex);
  }

  /** The domain of each token, [T] I64. */
  public Optional<Tensor> domains() {
    return Optional.ofNullable(domains);
  }

  /** The mask of real tokens, [T] BOOL; absent if all are real. */
  public Optional<Tensor> padding() {
    return Optional.ofNullable(padding);
  }

  /** State that layers hand on to later layers of this pass. */
  public CarriedState carried() {
    return carried;
  }

  /**
   * The random source.
   *
   * @throws MoeException if the context was made without one
   */
  public RandomSource random() {
    if (random == null) {
      throw new MoeException(
          "layer "
              + layer
              + ": this layer draws random numbers in phase "
              + phase
              + "; give the token context a source with withRandom(new RandomSource(seed))");
    }
    return random;
  }
}
