package org.moe4j.engine.model;

import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import org.moe4j.engine.kernel.Activations;
import org.moe4j.engine.kernel.Rows;
import org.moe4j.engine.model.ExpertSource.Ready;
import org.moe4j.engine.model.Layer.Router;
import org.moe4j.engine.model.Layer.Shared;

/**
 * The feed-forward part of a layer: one network for all tokens, or experts that a router picks and
 * perhaps a network that all tokens share beside them.
 */
final class FeedForward {
  private final Shape shape;
  private final Products products;
  private final ExpertSource source;
  private final Guess guess;
  private final GatedNetworks dense;
  private final GatedNetworks experts;
  private final GatedNetworks shared;
  private final Routing routing;
  private float[] logits = {};
  private float[] mixed = {};
  private float[] gates = {};

  FeedForward(Weights model, Products products) {
    this.shape = model.shape();
    this.products = products;
    this.source = model.experts();
    this.guess = new Guess(model, products);
    boolean clamped = shape.architecture().clamped();
    int width = shape.width();
    this.dense = new GatedNetworks(width, shape.hidden(), clamped, products);
    this.experts = new GatedNetworks(width, shape.mixture().hidden(), clamped, products);
    this.shared = new GatedNetworks(width, sharedWidth(model), clamped, products);
    this.routing = new Routing(shape.mixture(), products.workers().count());
  }

  private static int sharedWidth(Weights model) {
    return model.layers().stream()
        .flatMap(l -> l.shared().stream())
        .mapToInt(s -> s.network().gate().rows())
        .max()
        .orElse(0);
  }

  /** Adds the results of layer {@code index}. */
  void run(int index, Layer layer, HiddenStates states) {
    Activations input = states.normalised(layer.forwardNorm());
    int n = states.count();
    if (layer.router().isEmpty()) {
      float[] out = all(dense, layer.dense().orElseThrow(), input, n);
      products.each(n, (t, worker) -> states.add(t, out));
    } else {
      route(layer.router().get(), input, n);
      routed(index, input, states);
      layer.shared().ifPresent(s -> shared(s, input, n));
      products.each(n, (t, worker) -> states.add(t, mixed));
    }
  }

  /** One network for all rows. */
  private float[] all(GatedNetworks networks, Expert network, Activations input, int n) {
    float[] out = networks.reserve(n);
    networks.run(input, products.rows(), new int[] {0, n}, new int[1], List.of(network));
    return out;
  }

  private void route(Router router, Activations input, int n) {
    int count = shape.mixture().experts();
    if (logits.length < n * count) {
      logits = new float[n * count];
      mixed = new float[n * shape.width()];
      gates = new float[n];
      routing.reserve(n);
    }
    products.beside(input, n, router.logits(), logits);
    products.each(
        n, (t, worker) -> routing.choose(t, logits, t * count, router.preference(), worker));
    routing.sort(n);
  }

  private void routed(int index, Activations input, HiddenStates states) {
    int[] busy = routing.busy();
    int[] starts = new int[busy.length + 1];
    for (int i = 0; i < busy.length; i++) {
      starts[i + 1] = routing.start(busy[i] + 1);
    }
    float[] out = experts.reserve(starts[busy.length]);
    try (ExpertSource.Request request = source.request(index, busy)) {
      guess.after(index, states);
      for (Ready r = request.next(); !r.experts().isEmpty(); r = request.next()) {
        experts.run(input, routing.tokens(), starts, r.which(), r.experts());
      }
    }
    products.each(states.count(), (t, worker) -> combine(t, out));
  }

  /** Adds a token's weighted experts up in the order of its choices. */
  private void combine(int t, float[] out) {
    int width = shape.width();
    Arrays.fill(mixed, t * width, (t + 1) * width, 0f);
    for (int i = 0; i < shape.mixture().used(); i++) {
      float weight = routing.weight(t, i);
      Rows.add(mixed, t * width, weight, out, routing.place(t, i) * width, width);
    }
  }

  private void shared(Shared weights, Activations input, int n) {
    float[] out = all(shared, weights.network(), input, n);
    Optional<Affine> gate = weights.gate();
    gate.ifPresent(g -> products.multiply(input, n, List.of(g), List.of(gates)));
    int width = shape.width();
    products.each(
        n,
        (t, worker) -> {
          float weight =
              gate.isPresent() ? (float) (1 / (1 + StrictMath.exp(-(double) gates[t]))) : 1;
          Rows.add(mixed, t * width, weight, out, t * width, width);
        });
  }
}
