package org.moe4j.engine.model;

import java.lang.foreign.Arena;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import org.moe4j.engine.EngineException;
import org.moe4j.engine.gguf.GgufFile;
import org.moe4j.engine.gguf.GgufTensor;
import org.moe4j.engine.kernel.Matrix;
import org.moe4j.engine.kernel.Packing;
import org.moe4j.engine.kernel.Workers;

/**
 * A model's weights, packed.
 *
 * @param embedding read row by row from the file
 * @param frequencies what rotary frequencies are divided by, if the file says
 * @param experts the routed ones of all layers
 */
public record Weights(
    Shape shape,
    GgufTensor embedding,
    float[] frequencies,
    List<Layer> layers,
    ExpertSource experts,
    float[] norm,
    Matrix output) {

  /**
   * Packs the weights of {@code file} into memory of {@code arena}.
   *
   * @throws EngineException if a tensor is missing or of another shape than the metadata says
   */
  public static Weights load(GgufFile file, Arena arena, boolean exact, Workers workers) {
    Shape shape = Shape.of(file);
    Packing packing = new Packing(arena, exact);
    Loader loader = new Loader(file, packing, workers);
    GgufTensor embedding =
        loader.checked("token_embd.weight", shape.width(), shape.vocabulary(), 1);
    List<Layer> layers = new ArrayList<>();
    List<List<Expert>> experts = new ArrayList<>();
    for (int i = 0; i < shape.layers(); i++) {
      String prefix = "blk." + i + ".";
      layers.add(loader.layer(shape, prefix));
      experts.add(
          shape.experts() == 0 ? List.of() : loader.packed(loader.experts(shape, prefix)));
    }
    float[] frequencies =
        file.find("rope_freqs.weight").map(GgufTensor::floats).orElse(new float[0]);
    if (frequencies.length != 0 && frequencies.length != shape.rotated() / 2) {
      throw new EngineException(file.path() + ": rope_freqs.weight has another length than a head");
    }
    String output = file.find("output.weight").isPresent() ? "output.weight" : "token_embd.weight";
    return new Weights(
        shape,
        embedding,
        frequencies,
        layers,
        new ResidentExperts(experts),
        loader.vector("output_norm.weight", shape.width()),
        loader.matrix(output, shape.width(), shape.vocabulary()));
  }

  private record Loader(GgufFile file, Packing packing, Workers workers) {
    Layer layer(Shape s, String p) {
      return new Layer(
          vector(p + "attn_norm.weight", s.width()),
          matrix(p + "attn_q.weight", s.width(), s.queryWidth()),
          matrix(p + "attn_k.weight", s.width(), s.keyWidth()),
          matrix(p + "attn_v.weight", s.width(), s.keyWidth()),
          headNorm(p + "attn_q_norm.weight", s.headSize(), s.queryWidth()),
          headNorm(p + "attn_k_norm.weight", s.headSize(), s.keyWidth()),
          matrix(p + "attn_output.weight", s.queryWidth(), s.width()),
          vector(p + "ffn_norm.weight", s.width()),
          s.experts() == 0
              ? List.of()
              : List.of(matrix(p + "ffn_gate_inp.weight", s.width(), s.experts())),
          s.experts() == 0
              ? Optional.of(experts(s, p).pack(0, packing))
              : Optional.empty());
    }

    ExpertTensors experts(Shape s, String p) {
      int count = Math.max(1, s.experts());
      String suffix = s.experts() == 0 ? ".weight" : "_exps.weight";
      return new ExpertTensors(
          count,
          s.width(),
          s.hidden(),
          checked(p + "ffn_gate" + suffix, s.width(), s.hidden(), count),
          checked(p + "ffn_up" + suffix, s.width(), s.hidden(), count),
          checked(p + "ffn_down" + suffix, s.hidden(), s.width(), count));
    }

    List<Expert> packed(ExpertTensors tensors) {
      Expert[] all = new Expert[tensors.count()];
      workers.run(tensors.count(), (e, worker) -> all[e] = tensors.pack(e, packing));
      return List.of(all);
    }

    Matrix matrix(String name, int columns, int rows) {
      return packing.pack(checked(name, columns, rows, 1), 0, rows);
    }

    float[] vector(String name, int length) {
      return checked(name, length, 1, 1).floats();
    }

    private float[] headNorm(String name, int head, int all) {
      Optional<GgufTensor> found = file.find(name);
      if (found.isEmpty()) {
        return new float[0];
      }
      return vector(name, found.get().columns() == head ? head : all);
    }

    GgufTensor checked(String name, int columns, int rows, int stacked) {
      GgufTensor t = file.tensor(name);
      long[] shape = Arrays.copyOf(t.shape(), 3);
      boolean fits =
          shape[0] == columns
              && Math.max(1, shape[1]) == rows
              && Math.max(1, shape[2]) == stacked
              && t.rows() == (long) rows * stacked;
      if (!fits) {
        throw new EngineException(
            file.path()
                + ": tensor "
                + t
                + " should be ["
                + columns
                + ","
                + rows
                + (stacked > 1 ? "," + stacked : "")
                + "] by the metadata");
      }
      return t;
    }
  }
}
