package org.moe4j;

import org.moe4j.tensor.Tensor;

/**
 * The values of a product-key memory (S29): a vector per key, of which a token adds up those it
 * retrieved, weighted. Gradients are as those of {@link SingleNeuronExperts}.
 */
public final class ValueTable implements RetrievalExperts {
  private final int count;
  private final boolean rowGradients;
  private final Parameter values;

  /** Makes {@code values} [N,d]. */
  ValueTable(
      int count, int width, boolean rowGradients, Init init, ParameterStore store, int layer) {
    this.count = count;
    this.rowGradients = rowGradients;
    this.values = store.create("values", new Role.RoutedExperts(layer, count), init, count, width);
  }

  @Override
  public int count() {
    return count;
  }

  /** The values [N,d]. */
  public Parameter values() {
    return values;
  }

  @Override
  public Tensor forward(Tensor x, Retrieval routing, TokenContext context) {
    return new Lookup(routing.ids(), count, rowGradients)
        .mix(values, routing.weights())
        .to(x.dtype());
  }
}
