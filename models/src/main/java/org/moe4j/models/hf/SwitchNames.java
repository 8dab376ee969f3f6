package org.moe4j.models.hf;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.moe4j.ExpertForm;
import org.moe4j.FeedForward;
import org.moe4j.FeedForwardExperts;
import org.moe4j.MoeConfig;
import org.moe4j.MoeLayer;
import org.moe4j.Parameter;
import org.moe4j.models.EncoderDecoder;
import org.moe4j.models.EncoderDecoderConfig;
import org.moe4j.models.FeedForwardConfig;
import org.moe4j.models.RelativeBias;
import org.moe4j.models.StoredExperts;
import org.moe4j.models.T5Attention;
import org.moe4j.models.T5Block;

/** The tensor names of switch_transformers on disk. */
final class SwitchNames {
  /** The router inside of a sparse layer, up to {@code weight} and {@code bias}. */
  static final String ROUTER = ".mlp.router.classifier.";

  private final WeightMap map = new WeightMap();
  private final EncoderDecoder model;

  private SwitchNames(EncoderDecoder model) {
    this.model = model;
  }

  /**
   * All tensors of a model's own parameters: not those of experts that stay on disk.
   *
   * @param head the name of the output projection, where it is not the embedding
   */
  static WeightMap of(EncoderDecoder model, String head) {
    SwitchNames names = new SwitchNames(model);
    names.map.whole(SwitchTensors.SHARED, model.embedding());
    names.stack("encoder", model.encoderBlocks(), model.encoderBias());
    Names.norm(names.map, "encoder.final_layer_norm", model.encoderNorm());
    names.stack("decoder", model.decoderBlocks(), model.decoderBias());
    Names.norm(names.map, "decoder.final_layer_norm", model.decoderNorm());
    if (!model.config().tied()) {
      names.map.whole(head, model.head());
    }
    return names.map;
  }

  /** The tensors of all routed experts with their shapes, in the order of the blocks. */
  static Map<String, List<Long>> experts(EncoderDecoderConfig config) {
    Map<String, List<Long>> shapes = new LinkedHashMap<>();
    experts("encoder", config.encoder(), shapes);
    experts("decoder", config.decoder(), shapes);
    return shapes;
  }

  private static void experts(
      String side, List<FeedForwardConfig> halves, Map<String, List<Long>> shapes) {
    for (int i = 0; i < halves.size(); i++) {
      if (halves.get(i) instanceof FeedForwardConfig.Moe(MoeConfig moe)) {
        List<Long> up = List.of((long) moe.expertWidth(), (long) moe.width());
        List<Long> down = List.of((long) moe.width(), (long) moe.expertWidth());
        for (int e = 0; e < moe.experts(); e++) {
          StoredExperts.Names names = expert(side, i, e, moe.form());
          names.in().forEach(n -> shapes.put(n, up));
          shapes.put(names.out(), down);
        }
      }
    }
  }

  /** {@code encoder.block.3.} and the like. */
  static String block(String side, int i) {
    return side + ".block." + i + ".";
  }

  /** The feed-forward half in a block: the second sub-layer, in a decoder the third. */
  static String feedForward(String side) {
    return side.equals("encoder") ? "layer.1" : "layer.2";
  }

  /** The tensors of an expert of one layer. */
  static StoredExperts.Names expert(String side, int block, int expert, ExpertForm form) {
    String at = block(side, block) + feedForward(side) + ".mlp.experts.expert_" + expert + ".";
    return new StoredExperts.Names(ups(form).stream().map(at::concat).toList(), at + "wo.weight");
  }

  /** Of a gated network the gate comes first. */
  private static List<String> ups(ExpertForm form) {
    return form.gated() ? List.of("wi_0.weight", "wi_1.weight") : List.of("wi.weight");
  }

  private void stack(String side, List<T5Block> blocks, RelativeBias bias) {
    map.whole(
        block(side, 0) + "layer.0.SelfAttention.relative_attention_bias.weight", bias.weight());
    for (int i = 0; i < blocks.size(); i++) {
      T5Block block = blocks.get(i);
      String disk = block(side, i);
      Names.norm(map, disk + "layer.0.layer_norm", block.selfNorm());
      attention(disk + "layer.0.SelfAttention.", block.self());
      block.crossNorm().ifPresent(n -> Names.norm(map, disk + "layer.1.layer_norm", n));
      block.cross().ifPresent(a -> attention(disk + "layer.1.EncDecAttention.", a));
      Names.norm(map, disk + feedForward(side) + ".layer_norm", block.ffnNorm());
      block.dense().ifPresent(f -> network(disk + feedForward(side) + ".mlp.", f));
      if (block.moe().isPresent()) {
        sparse(side, i, block.moe().get());
      }
    }
  }

  private void attention(String disk, T5Attention a) {
    Names.linear(map, disk + "q", a.q());
    Names.linear(map, disk + "k", a.k());
    Names.linear(map, disk + "v", a.v());
    Names.linear(map, disk + "o", a.o());
  }

  private void network(String disk, FeedForward f) {
    List<String> ups = ups(f.form());
    long h = f.out().tensor().size(1);
    for (int i = 0; i < ups.size(); i++) {
      long from = i * h;
      map.part(disk + ups.get(i), f.in(), w -> w.narrow(0, from, h));
    }
    map.whole(disk + "wo.weight", f.out());
  }

  private void sparse(String side, int block, MoeLayer moe) {
    String router = block(side, block) + feedForward(side) + ROUTER;
    String own = side + ".layers." + block + ".moe.gate.";
    map.whole(router + "weight", gate(own + "weight"));
    if (Boolean.TRUE.equals(moe.config().routerOptions().get("bias"))) {
      map.whole(router + "bias", gate(own + "bias"));
    }
    if (moe.experts() instanceof FeedForwardExperts experts) {
      long h = moe.config().expertWidth();
      for (int e = 0; e < experts.count(); e++) {
        int expert = e;
        StoredExperts.Names names = expert(side, block, e, experts.form());
        for (int i = 0; i < names.in().size(); i++) {
          long from = i * h;
          map.part(names.in().get(i), experts.in(), w -> w.select(0, expert).narrow(0, from, h));
        }
        map.part(names.out(), experts.out(), w -> w.select(0, expert));
      }
    }
  }

  private Parameter gate(String name) {
    return model.parameters().named(name);
  }
}
