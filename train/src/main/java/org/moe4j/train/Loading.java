package org.moe4j.train;

import java.util.OptionalLong;
import org.moe4j.models.hf.LoadProgress;
import org.moe4j.tensor.DType;
import org.moe4j.tensor.Device;

/**
 * How a stored model is read.
 *
 * @param device where it computes
 * @param dtype of the parameters and of the activations
 * @param expertBytes of an encoder-decoder: if there, experts are read from disk when tokens come
 *     for them, and the ones used last stay in memory up to so many bytes
 * @param progress told of the bytes that were read
 */
public record Loading(
    Device device, DType dtype, OptionalLong expertBytes, LoadProgress progress) {
  /** In the device's default type, all in memory, told to nobody. */
  public static Loading on(Device device) {
    return new Loading(
        device, LanguageModel.defaultType(device), OptionalLong.empty(), LoadProgress.NONE);
  }

  /** In another type. */
  public Loading in(DType dtype) {
    return new Loading(device, dtype, expertBytes, progress);
  }

  /** With experts on demand, or not. */
  public Loading withExpertBytes(OptionalLong bytes) {
    return new Loading(device, dtype, bytes, progress);
  }

  /** Told to {@code progress}. */
  public Loading telling(LoadProgress progress) {
    return new Loading(device, dtype, expertBytes, progress);
  }
}
