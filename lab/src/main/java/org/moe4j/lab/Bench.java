package org.moe4j.lab;

import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Supplier;
import org.moe4j.tensor.Device;
import org.moe4j.train.Corpus;
import org.moe4j.train.TrainingListener;
import org.moe4j.train.config.TrainingConfig;

/** What the trials of a session share: the device and texts that were read once. */
public final class Bench {
  /** Tokens of held-out text that models are scored on. */
  static final int VALIDATION_TOKENS = 16_384;

  private final Device device;
  private final int validationTokens;
  private final Map<Object, Object> kept = new HashMap<>();

  /** A bench on {@code device}. */
  public Bench(Device device) {
    this(device, VALIDATION_TOKENS);
  }

  /** A bench whose trials measure at most so many tokens of held-out text. */
  Bench(Device device, int validationTokens) {
    this.device = device.require();
    this.validationTokens = validationTokens;
  }

  /** Tokens of held-out text that are measured at most. */
  int validationTokens() {
    return validationTokens;
  }

  /** Where trials compute. */
  public Device device() {
    return device;
  }

  /** The text of {@code config}, read once. */
  public Corpus corpus(TrainingConfig config) {
    // The split follows from the seed, the batches of the validation from the section [train].
    Object key = List.of(config.data(), config.run().seed(), config.train().batchSize());
    return kept(Corpus.class, key, () -> Corpus.read(config, TrainingListener.SILENT));
  }

  /** What {@code make} makes, made once for {@code key}; trials that run side by side share it. */
  public synchronized <T> T kept(Class<T> type, Object key, Supplier<T> make) {
    return type.cast(kept.computeIfAbsent(key, k -> make.get()));
  }
}
