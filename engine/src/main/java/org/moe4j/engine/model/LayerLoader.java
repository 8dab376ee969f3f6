package org.moe4j.engine.model;

import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.stream.IntStream;
import org.moe4j.engine.gguf.GgufTensor;
import org.moe4j.engine.kernel.Matrix;
import org.moe4j.engine.model.AttentionShape.LatentShape;
import org.moe4j.engine.model.Expert.Biases;

/** Finds the weights of layers by the names that files give them. */
record LayerLoader(Shape shape, Tensors tensors) {
  private static final int PART = Matrix.PANEL / 2;

  Layer layer(int index) {
    String p = prefix(index);
    boolean routes = routes(index);
    int experts = shape.mixture().experts();
    return new Layer(
        tensors.norm(p + "attn_norm", shape.width()),
        shape.attention().latent().isPresent() ? latent(p) : heads(p),
        tensors.norm(p + shape.architecture().forwardNorm(), shape.width()),
        routes
            ? Optional.of(
                new Layer.Router(
                    tensors.stacked(p + "ffn_gate_inp", shape.width(), parts(experts)),
                    tensors.numbers(p + "exp_probs_b.bias", experts)))
            : Optional.empty(),
        routes ? Optional.empty() : Optional.of(network(p, "", shape.hidden())),
        routes ? shared(p) : Optional.empty());
  }

  /** Rows of the matrices of a router of few rows. */
  private static int[] parts(int experts) {
    return IntStream.range(0, Math.ceilDiv(experts, PART))
        .map(i -> Math.min(PART, experts - i * PART))
        .toArray();
  }

  private static String prefix(int index) {
    return "blk." + index + ".";
  }

  /** True if a layer has experts; the first ones of some models have not. */
  boolean routes(int index) {
    return shape.mixture().experts() > 0 && !tensors.has(prefix(index) + "ffn_gate.weight");
  }

  /** The routed experts of a layer. */
  ExpertTensors experts(int index) {
    String p = prefix(index);
    int count = shape.mixture().experts();
    int hidden = shape.mixture().hidden();
    int width = shape.width();
    return new ExpertTensors(
        count,
        width,
        hidden,
        tensors.checked(p + "ffn_gate_exps.weight", width, hidden, count),
        tensors.checked(p + "ffn_up_exps.weight", width, hidden, count),
        tensors.checked(p + "ffn_down_exps.weight", hidden, width, count),
        new Biases(
            tensors.numbers(p + "ffn_gate_exps.bias", hidden, count),
            tensors.numbers(p + "ffn_up_exps.bias", hidden, count),
            tensors.numbers(p + "ffn_down_exps.bias", width, count)));
  }

  private Expert network(String p, String suffix, int hidden) {
    Affine gate = tensors.affine(p + "ffn_gate" + suffix, shape.width(), hidden);
    Affine up = tensors.affine(p + "ffn_up" + suffix, shape.width(), hidden);
    Affine down = tensors.affine(p + "ffn_down" + suffix, hidden, shape.width());
    return new Expert(
        gate.matrix(), up.matrix(), down.matrix(), new Biases(gate.bias(), up.bias(), down.bias()));
  }

  private Optional<Layer.Shared> shared(String p) {
    if (!tensors.has(p + "ffn_gate_shexp.weight")) {
      return Optional.empty();
    }
    int hidden = Math.toIntExact(tensors.file().tensor(p + "ffn_gate_shexp.weight").rows());
    return Optional.of(
        new Layer.Shared(
            network(p, "_shexp", hidden),
            tensors.has(p + "ffn_gate_inp_shexp.weight")
                ? Optional.of(tensors.affine(p + "ffn_gate_inp_shexp", shape.width(), 1))
                : Optional.empty()));
  }

  private Layer.HeadWeights heads(String p) {
    AttentionShape a = shape.attention();
    int queries = a.heads() * a.keySize();
    List<Affine> qkv = inputs(p, queries);
    return new Layer.HeadWeights(
        qkv.get(0),
        qkv.get(1),
        qkv.get(2),
        tensors.norm(p + "attn_q_norm", a.keySize(), queries),
        tensors.norm(p + "attn_k_norm", a.keySize(), a.keyWidth()),
        tensors.numbers(p + "attn_sinks.weight", a.heads()),
        tensors.affine(p + "attn_output", a.outputWidth(), shape.width()));
  }

  /** Matrices of queries, keys and values, which some files stack in this order. */
  private List<Affine> inputs(String p, int queries) {
    AttentionShape a = shape.attention();
    if (tensors.has(p + "attn_qkv.weight")) {
      return tensors.stacked(p + "attn_qkv", shape.width(), queries, a.keyWidth(), a.valueWidth());
    }
    return List.of(
        tensors.affine(p + "attn_q", shape.width(), queries),
        tensors.affine(p + "attn_k", shape.width(), a.keyWidth()),
        tensors.affine(p + "attn_v", shape.width(), a.valueWidth()));
  }

  private Layer.LatentWeights latent(String p) {
    AttentionShape a = shape.attention();
    LatentShape l = a.latent().orElseThrow();
    int queries = a.heads() * l.querySize();
    boolean compressed = tensors.has(p + "attn_q_a.weight");
    int queryRank =
        compressed ? Math.toIntExact(tensors.file().tensor(p + "attn_q_a.weight").rows()) : 0;
    boolean split = tensors.has(p + "attn_k_b.weight");
    return new Layer.LatentWeights(
        compressed
            ? Optional.of(tensors.affine(p + "attn_q_a", shape.width(), queryRank))
            : Optional.empty(),
        compressed ? tensors.norm(p + "attn_q_a_norm", queryRank) : Norm.NONE,
        compressed
            ? tensors.affine(p + "attn_q_b", queryRank, queries)
            : tensors.affine(p + "attn_q", shape.width(), queries),
        tensors.affine(p + "attn_kv_a_mqa", shape.width(), l.rank() + l.rotated()),
        tensors.norm(p + "attn_kv_a_norm", l.rank()),
        split
            ? tensors.matrices(p + "attn_k_b", l.plain(), l.rank(), a.heads())
            : keysOfBoth(p, a.heads(), l),
        split
            ? tensors.matrices(p + "attn_v_b", l.rank(), l.valueSize(), a.heads())
            : valuesOfBoth(p, a.heads(), l),
        tensors.affine(p + "attn_output", a.outputWidth(), shape.width()));
  }

  /** Older files hold for each head the rows of its plain keys, then those of its values. */
  private GgufTensor both(String p, int heads, LatentShape l) {
    int rows = heads * (l.plain() + l.valueSize());
    return tensors.checked(p + "attn_kv_b.weight", l.rank(), rows, 1);
  }

  private List<Matrix> keysOfBoth(String p, int heads, LatentShape l) {
    float[] both = both(p, heads, l).floats();
    List<Matrix> all = new ArrayList<>();
    for (int h = 0; h < heads; h++) {
      float[] turned = new float[l.rank() * l.plain()];
      int from = h * (l.plain() + l.valueSize()) * l.rank();
      for (int row = 0; row < l.plain(); row++) {
        for (int column = 0; column < l.rank(); column++) {
          turned[column * l.plain() + row] = both[from + row * l.rank() + column];
        }
      }
      all.add(tensors.packing().pack(turned, l.rank(), l.plain()));
    }
    return all;
  }

  private List<Matrix> valuesOfBoth(String p, int heads, LatentShape l) {
    GgufTensor both = both(p, heads, l);
    List<Matrix> all = new ArrayList<>();
    for (int h = 0; h < heads; h++) {
      int from = h * (l.plain() + l.valueSize()) + l.plain();
      all.add(tensors.packing().packRows(both, from, l.valueSize()));
    }
    return all;
  }
}
