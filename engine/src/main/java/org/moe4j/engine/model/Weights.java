package org.moe4j.engine.model;

import java.lang.foreign.Arena;
import java.util.ArrayList;
import java.util.List;
import java.util.SortedMap;
import java.util.TreeMap;
import java.util.function.Function;
import org.moe4j.engine.EngineException;
import org.moe4j.engine.gguf.GgufFile;
import org.moe4j.engine.gguf.GgufTensor;
import org.moe4j.engine.kernel.LateWeights;
import org.moe4j.engine.kernel.Packing;
import org.moe4j.engine.kernel.Workers;

/**
 * A model's weights, packed.
 *
 * @param embedding read row by row from the file
 * @param divisors what rotary frequencies are divided by, if the file says
 * @param experts the routed ones of all layers
 * @param late those that are packed when they are used
 */
@SuppressWarnings("ArrayRecordComponent") // handed over, never compared
public record Weights(
    Shape shape,
    GgufTensor embedding,
    float[] divisors,
    List<Layer> layers,
    ExpertSource experts,
    Norm norm,
    Affine output,
    LateWeights late) {

  /**
   * Packs the weights of {@code file} into memory of {@code arena}.
   *
   * @throws EngineException if a tensor is missing or of another shape than the metadata says
   */
  public static Weights load(GgufFile file, Arena arena, boolean exact, Workers workers) {
    Packing packing = new Packing(arena, exact, file::copy);
    return load(file, packing, workers, stored -> ResidentExperts.pack(stored, packing, workers));
  }

  /**
   * The same with routed experts elsewhere.
   *
   * @param experts what provides them, given the layers that route by their index
   */
  public static Weights load(
      GgufFile file,
      Packing packing,
      Workers workers,
      Function<SortedMap<Integer, ExpertTensors>, ExpertSource> experts) {
    Shape shape = Shape.of(file);
    Tensors tensors = new Tensors(file, packing);
    LayerLoader loader = new LayerLoader(shape, tensors);
    GgufTensor embedding =
        tensors.checked("token_embd.weight", shape.width(), shape.vocabulary(), 1);
    List<Layer> layers = new ArrayList<>();
    SortedMap<Integer, ExpertTensors> stored = new TreeMap<>();
    for (int i = 0; i < shape.layers(); i++) {
      layers.add(loader.layer(i));
      if (loader.routes(i)) {
        stored.put(i, loader.experts(i));
      }
    }
    float[] divisors = divisors(shape, tensors);
    Norm norm = tensors.norm("output_norm", shape.width());
    String name = tensors.has("output.weight") ? "output" : "token_embd";
    Affine output = tensors.affine(name, shape.width(), shape.vocabulary());
    // Last, as from then on there is something to be closed.
    ExpertSource source = experts.apply(stored);
    return new Weights(shape, embedding, divisors, layers, source, norm, output, packing.late());
  }

  /** Those of long texts if the model's context is longer than that of its training. */
  private static float[] divisors(Shape shape, Tensors tensors) {
    int pairs = shape.rotary().rotated() / 2;
    if (tensors.has("rope_freqs.weight")) {
      return tensors.numbers("rope_freqs.weight", pairs);
    }
    boolean beyond = shape.context() > shape.rotary().original();
    return tensors.numbers(
        beyond ? "rope_factors_long.weight" : "rope_factors_short.weight", pairs);
  }
}
