package org.moe4j.engine.plan;

import java.nio.file.Path;
import java.util.OptionalDouble;
import org.moe4j.engine.model.MixtureShape;
import org.moe4j.engine.offload.DiskSpeed;

/**
 * How fast tokens will come one by one, if reading weights is what takes the time: from memory all
 * that a token meets, from disk the experts that are not in memory if all are equally likely. Real
 * texts ask for some experts again and again, so that fewer are missing.
 *
 * @param memoryBandwidth bytes a second
 * @param diskBandwidth bytes a second; 0 if nothing stays on disk
 * @param bytes that a token reads of memory
 * @param experts that a token asks for in all layers
 * @param misses of them that are not in memory
 * @param missedBytes that are read from disk for them
 */
public record SpeedPlan(
    double memoryBandwidth,
    double diskBandwidth,
    long bytes,
    int experts,
    double misses,
    double missedBytes) {
  private static final long DISK_NANOS = 150_000_000;

  /** Tokens a second at most. */
  public double tokensPerSecond() {
    double disk = missedBytes == 0 ? 0 : missedBytes / diskBandwidth;
    return 1 / (bytes / memoryBandwidth + disk);
  }

  /**
   * The speed of a planned model. What is not given is measured, which takes at most half a second.
   *
   * @param file where experts are on disk
   * @param bandwidth of memory
   * @param disk bandwidth of it
   */
  public static SpeedPlan of(
      MemoryPlan plan, Path file, int threads, OptionalDouble bandwidth, OptionalDouble disk) {
    MixtureShape mixture = plan.shape().mixture();
    long bytes = 0;
    for (RoleBytes r : plan.roles()) {
      bytes +=
          r.role() == Role.ROUTED
              ? r.packed() / Math.max(1, mixture.experts()) * mixture.used()
              : r.packed();
    }
    double misses = 0;
    double missed = 0;
    if (plan.offload().isPresent()) {
      for (var layer : plan.storedExperts().entrySet()) {
        int held = plan.offload().get().slots().get(layer.getKey());
        double part = mixture.used() * (1 - (double) held / mixture.experts());
        misses += part;
        missed += part * layer.getValue();
      }
    }
    return new SpeedPlan(
        bandwidth.orElseGet(() -> MemorySpeed.measure(threads)),
        missed == 0 ? 0 : disk.orElseGet(() -> DiskSpeed.measure(file, DISK_NANOS)),
        bytes,
        plan.storedExperts().size() * mixture.used(),
        misses,
        missed);
  }
}
