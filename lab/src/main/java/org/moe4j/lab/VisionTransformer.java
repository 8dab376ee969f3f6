package org.moe4j.lab;

import java.util.ArrayList;
import java.util.List;
import java.util.function.UnaryOperator;
import org.moe4j.FeedForward;
import org.moe4j.Init;
import org.moe4j.InitScheme;
import org.moe4j.MoeLayer;
import org.moe4j.MoeOutput;
import org.moe4j.Parameter;
import org.moe4j.ParameterStore;
import org.moe4j.Role;
import org.moe4j.Router;
import org.moe4j.TokenContext;
import org.moe4j.models.FeedForwardConfig;
import org.moe4j.models.Norm;
import org.moe4j.models.NormKind;
import org.moe4j.tensor.Ops;
import org.moe4j.tensor.Tensor;

/**
 * A small vision transformer (Dosovitskiy and others, 2021) that names what an image shows: patches
 * with learned positions, pre-norm blocks in which every patch sees every other, the mean over
 * patches and a linear head. Feed-forward halves are dense or sparse.
 */
final class VisionTransformer implements AutoCloseable {
  private static final double EPS = 1e-6;

  private final VisionConfig config;
  private final ParameterStore parameters;
  private final Parameter patches;
  private final Parameter positions;
  private final List<Block> blocks;
  private final Norm norm;
  private final Parameter head;

  /** Class scores [B, labels], and what the sparse layers did. */
  record Output(Tensor scores, List<MoeOutput> layers) {}

  /** The feed-forward half. */
  private sealed interface Half {
    record Dense(FeedForward network) implements Half {}

    record Sparse(MoeLayer layer) implements Half {}
  }

  private record Block(
      Norm attentionNorm, Parameter mixed, Parameter out, Norm halfNorm, Half half) {}

  /** Makes the parameters in {@code store}, which it then owns. */
  VisionTransformer(VisionConfig config, ParameterStore store) {
    this.config = config;
    this.parameters = store;
    int d = config.width();
    long input = 3L * config.patch() * config.patch();
    this.patches = weight(store, "patches", d, input);
    this.positions =
        store.create(
            "positions", Role.EMBEDDING, Init.normal(0.02), ImageSet.patches(config.patch()), d);
    this.blocks = new ArrayList<>();
    for (int i = 0; i < config.feedForward().size(); i++) {
      blocks.add(block(store.under("layers." + i), i));
    }
    this.norm = Norm.of(NormKind.LAYER, store, "norm", d, EPS);
    this.head = store.create("head", Role.NON_EXPERT, Init.zeros(), config.labels(), d);
  }

  private static Parameter weight(ParameterStore store, String name, long out, long in) {
    return store.create(name, Role.NON_EXPERT, Init.fanIn(1, in), out, in);
  }

  private Block block(ParameterStore store, int layer) {
    int d = config.width();
    Norm first = Norm.of(NormKind.LAYER, store, "attn_norm", d, EPS);
    Parameter mixed = weight(store, "qkv", 3L * d, d);
    Parameter out = weight(store, "out", d, d);
    Norm second = Norm.of(NormKind.LAYER, store, "ffn_norm", d, EPS);
    Half half =
        switch (config.feedForward().get(layer)) {
          case FeedForwardConfig.Dense f ->
              new Half.Dense(
                  new FeedForward(
                      f.form(), d, f.width(), Role.NON_EXPERT, InitScheme.T5, store.under("ffn")));
          case FeedForwardConfig.Moe f ->
              new Half.Sparse(new MoeLayer(f.moe(), store.under("moe"), layer));
        };
    return new Block(first, mixed, out, second, half);
  }

  private VisionTransformer(VisionTransformer same, List<Block> blocks) {
    this.config = same.config;
    this.parameters = same.parameters;
    this.patches = same.patches;
    this.positions = same.positions;
    this.blocks = blocks;
    this.norm = same.norm;
    this.head = same.head;
  }

  /** The same model and parameters with the router of each sparse layer wrapped. */
  VisionTransformer withRouters(UnaryOperator<Router> wrapper) {
    return new VisionTransformer(
        this,
        blocks.stream()
            .map(
                b ->
                    b.half() instanceof Half.Sparse(MoeLayer layer)
                        ? new Block(
                            b.attentionNorm(),
                            b.mixed(),
                            b.out(),
                            b.halfNorm(),
                            new Half.Sparse(layer.withRouter(wrapper)))
                        : b)
            .toList());
  }

  /** The shape. */
  VisionConfig config() {
    return config;
  }

  /** All weights. */
  ParameterStore parameters() {
    return parameters;
  }

  /**
   * Names images.
   *
   * @param images patches [B, patches, 3 patch^2]
   * @param context of B sequences of all patches
   */
  Output forward(Tensor images, TokenContext context) {
    List<MoeOutput> layers = new ArrayList<>();
    Tensor x = Ops.linear(images, patches.tensor(), null).add(positions.tensor());
    for (Block b : blocks) {
      Tensor h = x.add(attention(b, b.attentionNorm().apply(x)));
      Tensor normed = b.halfNorm().apply(h);
      switch (b.half()) {
        case Half.Dense(FeedForward network) -> x = h.add(network.forward(normed));
        case Half.Sparse(MoeLayer layer) -> {
          MoeOutput out = layer.forward(normed, context);
          layers.add(out);
          x = h.add(out.output());
        }
      }
    }
    Tensor pooled = norm.apply(x).mean(1, false);
    return new Output(Ops.linear(pooled, head.tensor(), null), layers);
  }

  private Tensor attention(Block b, Tensor x) {
    long images = x.size(0);
    long n = x.size(1);
    long d = config.width();
    Tensor qkv =
        Ops.linear(x, b.mixed().tensor(), null)
            .view(images, n, 3, config.heads(), d / config.heads())
            .permute(2, 0, 3, 1, 4);
    Tensor seen =
        Ops.attention(
            qkv.select(0, 0), qkv.select(0, 1), qkv.select(0, 2), null, false, Double.NaN);
    return Ops.linear(seen.transpose(1, 2).reshape(images, n, d), b.out().tensor(), null);
  }

  @Override
  public void close() {
    parameters.close();
  }
}
