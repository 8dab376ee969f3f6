package org.moe4j.bench;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.stream.Stream;
import org.moe4j.TokenContext;
import org.moe4j.models.Decoder;
import org.moe4j.models.KvCache;
import org.moe4j.models.hf.HfCheckpoint;
import org.moe4j.tensor.DType;
import org.moe4j.tensor.Device;
import org.moe4j.tensor.NoGrad;
import org.moe4j.tensor.Safetensors;
import org.moe4j.tensor.Scope;
import org.moe4j.tensor.Tensor;

/**
 * Runs every checkpoint of a folder that has an {@code expected.safetensors} on a device and prints
 * how far its logits are from those expected, and whether the greedy continuation is the same:
 * {@code FamilyParity FOLDER cpu|cuda f32|bf16}. It fails if F32 logits are further off than 2e-4
 * or greedy tokens differ.
 */
public final class FamilyParity {
  private static final double LIMIT = 2e-4;

  private FamilyParity() {}

  /** See the class. */
  public static void main(String[] args) throws IOException {
    Device device = (args[1].equals("cuda") ? Device.CUDA : Device.CPU).require();
    DType dtype = args[2].equals("bf16") ? DType.BF16 : DType.F32;
    List<Path> folders;
    try (Stream<Path> all = Files.list(Path.of(args[0]))) {
      folders = all.filter(f -> Files.exists(f.resolve("expected.safetensors"))).sorted().toList();
    }
    int failed = 0;
    for (Path folder : folders) {
      if (!folder.getFileName().toString().startsWith("switch")) {
        failed += passes(folder, device, dtype) ? 0 : 1;
      }
    }
    System.out.println(failed + " failed");
    System.exit(failed == 0 ? 0 : 1);
  }

  private static boolean passes(Path folder, Device device, DType dtype) {
    String name = folder.getFileName().toString();
    try (Scope scope = Scope.open();
        NoGrad off = NoGrad.open();
        Safetensors expected = Safetensors.open(folder.resolve("expected.safetensors"));
        Decoder loaded = HfCheckpoint.load(folder, device, dtype).model()) {
      Decoder model = loaded.withPrecision(dtype);
      double worst = 0;
      boolean greedy = true;
      for (int i = 0; i < 2; i++) {
        Tensor ids = expected.load("prompt." + i).unsqueeze(0).to(device);
        Tensor hidden = model.forward(ids, TokenContext.eval(1, ids.size(1))).hidden();
        Tensor logits = model.logits(hidden).squeeze(0).to(Device.CPU);
        double off1 = logits.sub(expected.load("logits." + i)).abs().max().item();
        worst = Math.max(worst, Double.isNaN(off1) ? Double.POSITIVE_INFINITY : off1);
        greedy &= continues(model, ids, expected.load("greedy." + i).toLongs(), device);
      }
      System.out.printf(Locale.ROOT, "%-28s %9.2e greedy %s%n", name, worst, greedy);
      return dtype != DType.F32 || (worst <= LIMIT && greedy);
    } catch (RuntimeException e) {
      System.out.println(name + " " + e);
      e.printStackTrace(System.out);
      return false;
    }
  }

  private static boolean continues(Decoder model, Tensor ids, long[] wanted, Device device) {
    try (KvCache cache = model.newCache(1, (int) ids.size(1) + wanted.length)) {
      Tensor next = ids;
      for (long token : wanted) {
        Tensor logits = model.decode(next, cache).squeeze(0);
        if (logits.argmax(-1, false).toLongs()[0] != token) {
          return false;
        }
        next = Tensor.of(new long[] {token}, 1, 1).to(device);
      }
      return true;
    }
  }
}
