package org.moe4j.train.data;

import org.moe4j.tensor.MoeException;

/**
 * The held-out text as a fixed list of batches, each target in exactly one of them. The last
 * sequence is padded ({@link Batch#IGNORED} targets); the last batch may have fewer sequences.
 *
 * <p>Bits per byte compare models with different vocabularies: the nats of all scored targets,
 * divided by ln 2 and by the UTF-8 bytes those targets spell. An end-of-text is scored like any
 * token, so its nats count, but it spells no byte: a model pays for saying where documents end, and
 * nothing is gained by short documents. The baselines of {@link ByteModel} pay alike.
 */
public final class ValidationSet {
  private final TokenStream stream;
  private final int batchSize;
  private final int length;
  private final int targets;
  private final long bytes;

  /**
   * The first {@code maxTargets} targets of {@code stream}, whose documents are shuffled, or all if
   * there are fewer, in batches of {@code batchSize} sequences of {@code length} tokens.
   */
  public ValidationSet(TokenStream stream, int batchSize, int length, int maxTargets) {
    if (batchSize < 1
        || length < 1
        || maxTargets < 1
        || (long) batchSize * length > Integer.MAX_VALUE - 8) {
      throw new MoeException(
          "validation of %d targets in batches of %d sequences of %d tokens: all must be positive"
                  .formatted(maxTargets, batchSize, length)
              + " and a batch below 2^31 tokens");
    }
    this.stream = stream;
    this.batchSize = batchSize;
    this.length = length;
    this.targets = Math.min(maxTargets, stream.size() - 1);
    long sum = 0;
    for (int i = 1; i <= targets; i++) {
      sum += stream.byteLength(i);
    }
    this.bytes = sum;
  }

  /** The number of batches. */
  public int batches() {
    return Math.ceilDiv(sequences(), batchSize);
  }

  /** Batch {@code index}. */
  public Batch batch(int index) {
    int first = index * batchSize;
    int count = Math.min(batchSize, sequences() - first);
    Batch batch = new Batch(count, length);
    for (int b = 0; b < count; b++) {
      int from = (first + b) * length;
      int scored = Math.min(length, targets - from);
      stream.window(from, scored, batch, b * length);
      for (int i = b * length + scored; i < (b + 1) * length; i++) {
        batch.inputs()[i] = stream.endOfText();
        batch.targets()[i] = Batch.IGNORED;
        batch.domains()[i] = TokenStream.NO_DOMAIN;
        batch.texts()[i] = stream.documents();
      }
    }
    return batch;
  }

  /** The number of scored targets in all batches, end-of-text tokens included. */
  public int targets() {
    return targets;
  }

  /** The UTF-8 bytes that the scored targets spell; end-of-text tokens spell none. */
  public long bytes() {
    return bytes;
  }

  /** Bits per byte, from the sum (not the mean) of the losses of all scored targets in nats. */
  public double bitsPerByte(double totalNats) {
    return totalNats / Math.log(2) / bytes;
  }

  /** The bytes of the scored targets, with {@link TokenStream#END} for end-of-text. */
  void bytes(java.util.function.IntConsumer sink) {
    stream.bytes(1, targets + 1, sink);
  }

  private int sequences() {
    return Math.ceilDiv(targets, length);
  }
}
