package org.moe4j.bench;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Locale;
import java.util.stream.Stream;
import org.moe4j.models.hf.HfCheckpoint;
import org.moe4j.tensor.DType;
import org.moe4j.tensor.Device;
import org.moe4j.tensor.NativeMemory;
import org.moe4j.tensor.Tensor;

/**
 * How long a checkpoint takes to load and how much memory at most: {@code LoadingCost FOLDER
 * [BF16|F32|F16]}, one load per process, so that the peak is that load's. The first run after the
 * file was written reads from the page cache.
 */
public final class LoadingCost {
  private LoadingCost() {}

  /** Runs one measurement. */
  public static void main(String[] arguments) throws IOException {
    Path folder = Path.of(arguments[0]);
    DType dtype = arguments.length > 1 ? DType.valueOf(arguments[1]) : DType.BF16;
    long bytes;
    try (Stream<Path> files = Files.list(folder)) {
      bytes =
          files
              .filter(f -> f.toString().endsWith(".safetensors") || f.toString().endsWith(".bin"))
              .mapToLong(f -> f.toFile().length())
              .sum();
    }
    // Starting libtorch is not loading.
    Tensor.zeros(1).close();
    long before = NativeMemory.resident();
    long start = System.nanoTime();
    HfCheckpoint.Loaded loaded = HfCheckpoint.load(folder, Device.CPU, dtype);
    double seconds = (System.nanoTime() - start) / 1e9;
    System.out.printf(
        Locale.ROOT,
        "%s as %s: %.3f s for %.3f GB (%.2f GB/s); resident %.0f MB before, peak %.0f MB = file x"
            + " %.4f + %.0f MB%n",
        folder.getFileName(),
        dtype,
        seconds,
        bytes / 1e9,
        bytes / 1e9 / seconds,
        before / 1e6,
        NativeMemory.peakResident() / 1e6,
        (NativeMemory.peakResident() - before) / (double) bytes,
        before / 1e6);
    loaded.model().close();
  }
}
