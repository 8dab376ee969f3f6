package org.moe4j.models.hf;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import org.moe4j.Parameter;
import org.moe4j.ParameterStore;
import org.moe4j.Role;
import org.moe4j.models.Decoder;
import org.moe4j.models.DecoderConfig;
import org.moe4j.tensor.DType;
import org.moe4j.tensor.StoredTensor;

/**
 * What a checkpoint is made of, read from its configuration and headers alone, so that it may be
 * larger than the machine's memory.
 *
 * @param modelType its family
 * @param config the decoder
 * @param parts every part of a parameter as it is stored
 * @param ignored tensors in the file that the decoder has no use for
 * @param ignoredBytes of these
 */
public record CheckpointSummary(
    String modelType, DecoderConfig config, List<Stored> parts, int ignored, long ignoredBytes) {
  /**
   * A part of a parameter in the file.
   *
   * @param parameter the name of the parameter it belongs to
   * @param role of that parameter
   * @param type how the elements are stored, for instance {@code BF16} or {@code MXFP4}
   * @param elements how many
   * @param bytes in the file, scales of blocks included
   */
  public record Stored(String parameter, Role role, String type, long elements, long bytes) {}

  /**
   * Reads the headers of a folder and checks that all tensors are there and have their shapes.
   *
   * @throws org.moe4j.tensor.MoeException if not
   */
  public static CheckpointSummary of(Path folder) {
    try (OpenCheckpoint file = OpenCheckpoint.open(folder);
        Decoder model = new Decoder(file.config(), ParameterStore.shapes(DType.F32))) {
      List<Stored> parts = new ArrayList<>();
      for (Map.Entry<DiskTensor, WeightSource> e : file.sources(model, file.layout()).entrySet()) {
        WeightSource source = e.getValue();
        double perElement = (double) source.bytes() / Math.max(1, e.getKey().elements());
        for (DiskTensor.Part part : e.getKey().parts()) {
          long bytes = Math.round(perElement * part.count());
          Parameter p = part.parameter();
          parts.add(new Stored(p.name(), p.role(), source.label(), part.count(), bytes));
        }
      }
      List<StoredTensor> unread = file.ignored();
      return new CheckpointSummary(
          file.family().modelType(),
          file.config(),
          List.copyOf(parts),
          unread.size(),
          unread.stream().mapToLong(StoredTensor::bytes).sum());
    }
  }

  /** The type that most elements have. */
  public String type() {
    return parts.stream()
        .collect(Collectors.groupingBy(Stored::type, Collectors.summingLong(Stored::elements)))
        .entrySet()
        .stream()
        .max(Map.Entry.comparingByValue())
        .map(Map.Entry::getKey)
        .orElse(DType.F32.label());
  }
}
