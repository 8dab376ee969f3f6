package org.moe4j.engine.model;

import java.util.Comparator;
import java.util.List;
import java.util.stream.IntStream;
import org.moe4j.engine.kernel.Activations;

/**
 * Guesses which experts the next layer will pick: its own norm and router, given the hidden states
 * before this layer's experts are added, which change them little (Eliseev and Mazur, 2023, section
 * 3.2). It only says what to fetch; what is computed does not depend on it.
 */
final class Guess {
  /** Tokens of a step that are looked at: of many, some ask for nearly all experts already. */
  private static final int MOST = 16;

  private final MixtureShape shape;
  private final List<Layer> layers;
  private final ExpertSource source;
  private final Products products;
  private final Routing routing;
  private final Activations input;
  private final float[] logits;

  Guess(Weights model, Products products) {
    this.shape = model.shape().mixture();
    this.layers = model.layers();
    this.source = model.experts();
    this.products = products;
    this.routing = new Routing(shape, 1);
    this.input = new Activations(model.shape().width());
    this.logits = new float[MOST * shape.experts()];
    input.reserve(MOST);
    routing.reserve(MOST);
  }

  /** Tells the source what will likely be asked for after layer {@code index}. */
  void after(int index, HiddenStates states) {
    int next = index + 1;
    if (source.ahead() == 0 || next == layers.size() || layers.get(next).router().isEmpty()) {
      return;
    }
    Layer.Router router = layers.get(next).router().get();
    int n = Math.min(MOST, states.count());
    for (int t = 0; t < n; t++) {
      states.normalise(t, layers.get(next).forwardNorm(), input, t);
    }
    products.beside(input, n, router.logits(), logits);
    for (int t = 0; t < n; t++) {
      routing.choose(t, logits, t * shape.experts(), router.preference(), 0);
    }
    source.guess(next, likeliest(n));
  }

  /** Experts by how many tokens would pick them, those picked first in front if equally many. */
  private int[] likeliest(int n) {
    int[] picks = new int[shape.experts()];
    int[] first = new int[shape.experts()];
    for (int t = 0; t < n; t++) {
      for (int i = 0; i < shape.used(); i++) {
        int e = routing.chosen(t, i);
        first[e] = picks[e]++ == 0 ? i : Math.min(first[e], i);
      }
    }
    return IntStream.range(0, picks.length)
        .filter(e -> picks[e] > 0)
        .boxed()
        .sorted(Comparator.comparingInt((Integer e) -> -picks[e]).thenComparingInt(e -> first[e]))
        .mapToInt(e -> e)
        .toArray();
  }
}
