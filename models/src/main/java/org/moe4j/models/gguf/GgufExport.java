package org.moe4j.models.gguf;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.moe4j.Parameter;
import org.moe4j.ParameterStore;
import org.moe4j.Role;
import org.moe4j.engine.EngineException;
import org.moe4j.engine.gguf.GgmlType;
import org.moe4j.engine.gguf.GgufWriter;
import org.moe4j.engine.gguf.Quantise;
import org.moe4j.models.Decoder;
import org.moe4j.models.hf.DiskTensor;
import org.moe4j.models.hf.LoadProgress;
import org.moe4j.models.hf.OpenCheckpoint;
import org.moe4j.models.hf.WeightMap;
import org.moe4j.models.hf.WeightStream;
import org.moe4j.tensor.DType;
import org.moe4j.tensor.MoeException;
import org.moe4j.tensor.SafetensorsWriter;

/**
 * Writes a checkpoint as one GGUF file, with its tokenizer, for llama.cpp and for the engine. One
 * parameter or one expert is in memory at a time; the file appears when it is complete.
 */
public final class GgufExport {
  private GgufExport() {}

  /**
   * What was written.
   *
   * @param architecture in GGUF's names
   * @param tensors their number
   * @param bytes of the weights
   * @param remarks where the file is less than the checkpoint, or another type than was asked for
   */
  public record Result(String architecture, int tensors, long bytes, List<String> remarks) {}

  /**
   * Converts the checkpoint in the folder {@code from} into the file {@code to}.
   *
   * @param type of the matrices, one of {@link Quantise#TYPES}; what its blocks do not divide gets
   *     a wider one, vectors, biases and routers stay F32, and experts that the checkpoint keeps in
   *     MXFP4 stay as they are beside quantised weights
   * @throws MoeException if the checkpoint is damaged, no architecture of GGUF computes it, {@code
   *     to} is there already or cannot be written; nothing of it is left then
   */
  public static Result run(Path from, Path to, GgmlType type, LoadProgress progress) {
    if (Files.exists(to)) {
      throw new MoeException(to + " exists; choose another name or delete it");
    }
    if (!Quantise.TYPES.contains(type)) {
      throw new MoeException(
          type.label()
              + " is not written; use "
              + String.join(", ", Quantise.TYPES.stream().map(GgmlType::label).sorted().toList()));
    }
    try (OpenCheckpoint file = OpenCheckpoint.open(from);
        Decoder model = new Decoder(file.config(), ParameterStore.shapes(DType.F32))) {
      return run(from, to, type, file, model, progress);
    } catch (EngineException e) {
      throw new MoeException(from + ": " + e.getMessage(), e);
    }
  }

  private static Result run(
      Path from,
      Path to,
      GgmlType type,
      OpenCheckpoint file,
      Decoder model,
      LoadProgress progress) {
    Targets.Choice choice = Targets.of(from.toString(), file.modelType(), model.config());
    List<String> remarks = new ArrayList<>(choice.fit().remarks());
    Keys keys = new Keys(choice.target().label());
    keys.general("general.type", "model")
        .general("general.name", name(from))
        .general("general.file_type", (long) StorageTypes.fileType(type));
    if (type.block() > 1) {
      keys.general("general.quantization_version", 2L);
    }
    keys.put("context_length", choice.fit().context());
    TensorTable table = new TensorTable();
    choice.target().write(model, keys, table);
    requireAll(model, table.weights());
    TokenizerKeys.write(from, model.config().vocab(), file.tokens(), keys, remarks);
    try (WeightStream stream = file.stream(model, table.weights(), LoadProgress.NONE)) {
      StorageTypes types = new StorageTypes(type, head(table));
      List<GgufWriter.Item> items = items(file, stream, table, types, type.block() > 1);
      remarks.addAll(types.remarks());
      long bytes = items.stream().mapToLong(GgufWriter.Item::bytes).sum();
      GgufWriter.write(to, keys.values(), items, done -> progress.at(done, bytes));
      return new Result(choice.target().label(), items.size(), bytes, List.copyOf(remarks));
    }
  }

  /** Nothing that is trained may be left out; the embedding may be there twice. */
  private static void requireAll(Decoder model, WeightMap table) {
    Map<String, Long> stored = new HashMap<>();
    for (DiskTensor tensor : table.list()) {
      tensor.parts().forEach(p -> stored.merge(p.parameter().name(), p.count(), Long::sum));
    }
    for (Parameter p : model.parameters().all()) {
      if (!(p.role() instanceof Role.State)
          && stored.getOrDefault(p.name(), 0L) < p.tensor().numel()) {
        throw new IllegalStateException(p + " has no place in the file");
      }
    }
  }

  private static String name(Path folder) {
    Path last = folder.toAbsolutePath().normalize().getFileName();
    return last == null ? "model" : last.toString();
  }

  /** The tensor that makes logits: of its own or the embedding. */
  private static String head(TensorTable table) {
    String own = "output.weight";
    return table.weights().tensors().containsKey(own) ? own : "token_embd.weight";
  }

  private static List<GgufWriter.Item> items(
      OpenCheckpoint file,
      WeightStream stream,
      TensorTable table,
      StorageTypes types,
      boolean keepsCodes) {
    List<GgufWriter.Item> items = new ArrayList<>();
    table
        .constants()
        .forEach(
            (name, numbers) ->
                items.add(
                    new GgufWriter.Item(
                        name,
                        GgmlType.F32,
                        new long[] {numbers.length},
                        (row, into) -> System.arraycopy(numbers, 0, into, 0, numbers.length))));
    List<GgufWriter.Item> coded = new ArrayList<>();
    for (int i = 0; keepsCodes && i < file.config().layers(); i++) {
      coded.addAll(Mxfp4Experts.of(file.stored(), i));
    }
    Set<String> asTheyAre = new HashSet<>();
    coded.forEach(c -> asTheyAre.add(c.name()));
    for (SafetensorsWriter.Item item : stream.items(table.weights())) {
      String name = item.stored().name();
      if (!asTheyAre.contains(name)) {
        long[] shape = reversed(item.stored().sizes());
        items.add(
            new GgufWriter.Item(
                name,
                types.of(name, shape),
                shape,
                new PieceRows(item.pieces(), table.change(name))));
      }
    }
    items.addAll(coded);
    return items;
  }

  private static long[] reversed(long[] sizes) {
    long[] fastestFirst = new long[sizes.length];
    Arrays.setAll(fastestFirst, i -> sizes[sizes.length - 1 - i]);
    return fastestFirst;
  }
}
