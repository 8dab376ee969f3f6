package org.moe4j.engine.model;

import java.util.Arrays;
import java.util.List;
import java.util.stream.IntStream;
import org.moe4j.engine.kernel.Activations;
import org.moe4j.engine.kernel.Workers;

/**
 * Takes steps of tokens through a model. Every number of a token is computed from that token and
 * its own sequence in an order that depends on nothing else, so its logits are the same bits
 * whatever shares the step and however a prompt is cut. Not for several threads at once.
 */
public final class Forward {
  /** Bytes of weights that are packed before a step, but the first. */
  private static final long BETWEEN = 128 << 20;

  private final Weights model;
  private boolean begun;
  private final Shape shape;
  private final Products products;
  private final Rotary rotary;
  private final HiddenStates states;
  private final AttentionBlock attention;
  private final FeedForward feedForward;
  private final int placesOfAToken;

  /** Steps through {@code model} on {@code workers}. */
  public Forward(Weights model, Workers workers) {
    this.model = model;
    this.shape = model.shape();
    this.products = new Products(workers);
    this.rotary = new Rotary(shape.rotary(), model.divisors());
    this.states = new HiddenStates(shape, products);
    this.attention = new AttentionBlock(shape, rotary, products);
    this.feedForward = new FeedForward(model, products);
    this.placesOfAToken = Math.max(shape.attention().heads(), Math.max(1, shape.mixture().used()));
  }

  /**
   * Puts a step's tokens behind their caches.
   *
   * @return the logits that were wanted, in the order of the step's tokens
   */
  public float[][] run(Step step) {
    if (begun) {
      model.late().pack(BETWEEN, products.workers());
    }
    begun = true;
    products.reserve(step.tokens(), step.tokens() * placesOfAToken);
    states.embed(step, model.embedding());
    rotary.prepare(states.positions(), states.count());
    for (int i = 0; i < shape.layers(); i++) {
      Layer layer = model.layers().get(i);
      attention.run(i, layer, states);
      feedForward.run(i, layer, states);
    }
    return logits(step);
  }

  private float[][] logits(Step step) {
    IntStream.Builder wanted = IntStream.builder();
    int at = 0;
    for (Step.Piece piece : step.pieces()) {
      for (int i = 0; i < piece.tokens().length; i++, at++) {
        if (piece.every() || i == piece.tokens().length - 1) {
          wanted.add(at);
        }
      }
    }
    int[] tokens = wanted.build().toArray();
    Activations input = states.normalised(model.norm(), tokens);
    int numbers = Math.multiplyExact(tokens.length, shape.vocabulary());
    float[] all = new float[numbers];
    products.multiply(input, tokens.length, List.of(model.output()), List.of(all));
    float scale = shape.scales().logits();
    for (int i = 0; scale != 1 && i < numbers; i++) {
      all[i] *= scale;
    }
    if (tokens.length == 1) {
      return new float[][] {all};
    }
    float[][] logits = new float[tokens.length][];
    for (int i = 0; i < tokens.length; i++) {
      logits[i] = Arrays.copyOfRange(all, i * shape.vocabulary(), (i + 1) * shape.vocabulary());
    }
    return logits;
  }
}
