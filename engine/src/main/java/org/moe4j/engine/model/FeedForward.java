package org.moe4j.engine.model;

import java.util.List;
import java.util.stream.IntStream;
import org.moe4j.engine.kernel.Activations;
import org.moe4j.engine.model.ExpertSource.Ready;

/** The feed-forward part of a layer: one network for all tokens, or experts that a router picks. */
final class FeedForward {
  private final Shape shape;
  private final Products products;
  private final ExpertSource source;
  private final GatedNetworks networks;
  private final Routing routing;
  private float[] logits = {};
  private float[] mixed = {};

  FeedForward(Shape shape, ExpertSource source, Products products) {
    this.shape = shape;
    this.products = products;
    this.source = source;
    this.networks = new GatedNetworks(shape.width(), shape.hidden(), products);
    this.routing =
        new Routing(
            Math.max(1, shape.experts()),
            Math.max(1, shape.used()),
            shape.architecture().normalised());
  }

  /** Adds the results of layer {@code index}. */
  void run(int index, Layer layer, HiddenStates states) {
    Activations input = states.normalised(layer.forwardNorm());
    int n = states.count();
    if (layer.dense().isPresent()) {
      int[] starts = {0, n};
      float[] out = networks.reserve(n);
      networks.run(input, products.rows(), starts, new int[1], List.of(layer.dense().get()));
      products.each(n, (t, worker) -> states.add(t, out));
    } else {
      route(layer, input, n);
      routed(index, input, n);
      products.each(n, (t, worker) -> states.add(t, mixed));
    }
  }

  private void route(Layer layer, Activations input, int n) {
    if (logits.length < n * shape.experts()) {
      logits = new float[n * shape.experts()];
      mixed = new float[n * shape.width()];
      routing.reserve(n);
    }
    products.multiply(input, n, layer.router(), List.of(logits));
    for (int t = 0; t < n; t++) {
      routing.choose(t, logits, t * shape.experts());
    }
    routing.sort(n);
  }

  private void routed(int index, Activations input, int n) {
    int[] busy =
        IntStream.range(0, shape.experts())
            .filter(e -> routing.start(e + 1) > routing.start(e))
            .toArray();
    int[] starts = new int[busy.length + 1];
    for (int i = 0; i < busy.length; i++) {
      starts[i + 1] = routing.start(busy[i] + 1);
    }
    float[] out = networks.reserve(starts[busy.length]);
    try (ExpertSource.Request request = source.request(index, busy)) {
      for (Ready r = request.next(); !r.experts().isEmpty(); r = request.next()) {
        networks.run(input, routing.tokens(), starts, r.which(), r.experts());
      }
    }
    products.each(n, (t, worker) -> combine(t, out));
  }

  /** Adds a token's weighted experts up in the order of its choices. */
  private void combine(int t, float[] out) {
    int width = shape.width();
    for (int i = 0; i < shape.used(); i++) {
      float weight = routing.weight(t, i);
      int from = routing.place(t, i) * width;
      for (int d = 0; d < width; d++) {
        mixed[t * width + d] = (i == 0 ? 0 : mixed[t * width + d]) + weight * out[from + d];
      }
    }
  }
}
