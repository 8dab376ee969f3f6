package org.moe4j.train;

import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.InstantSource;
import java.time.LocalDateTime;
import java.time.ZoneId;
import java.time.format.DateTimeFormatter;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.function.BooleanSupplier;
import org.moe4j.ParameterStore;
import org.moe4j.RoutingStats;
import org.moe4j.Validity;
import org.moe4j.models.Decoder;
import org.moe4j.models.DecoderConfig;
import org.moe4j.models.ParameterCount;
import org.moe4j.models.Sampling;
import org.moe4j.models.hf.HfLayout;
import org.moe4j.tensor.AtomicFile;
import org.moe4j.tensor.DType;
import org.moe4j.tensor.Device;
import org.moe4j.tensor.MoeException;
import org.moe4j.tensor.NativeMemory;
import org.moe4j.tensor.Ops;
import org.moe4j.tensor.RandomSource;
import org.moe4j.train.config.Precision;
import org.moe4j.train.config.RunSection;
import org.moe4j.train.config.TrainSection;
import org.moe4j.train.config.TrainingConfig;
import org.moe4j.train.data.ByteModel;
import org.moe4j.train.data.Sampler;
import org.moe4j.train.data.SamplerState;
import org.moe4j.train.report.Report;
import org.moe4j.train.report.RoutingAnalysis;

/**
 * A training run from its configuration to the finished model, in a folder of its own:
 *
 * <pre>
 * config.toml  tokenizer.json  metrics.jsonl  tensorboard/
 * checkpoints/step-000100/     a model in Hugging Face form; trainer/ beside it to go on from
 * model/  summary.json  routing.json  report.html         when the run has ended
 * </pre>
 *
 * One process at a time works on it. Killed at any moment, it resumes from its newest checkpoint
 * and does what it would have done: on one machine with the same number of threads, bit for bit.
 */
public final class TrainingRun {
  private static final long REUSED_BLOCK = 1L << 30;
  private static final int SAMPLES = 3;
  private static final int ANALYSED_BATCHES = 16;
  private static final int SAMPLE_TOKENS = 48;
  private static final Sampling SAMPLING = new Sampling(0.4, 0, 0.9, 1);

  private final TrainingConfig config;
  private final RunFolder folder;
  private final TrainingListener listener;
  private final BooleanSupplier stop;
  private final InstantSource clock = InstantSource.system();
  private final long started = System.nanoTime();
  private Progress before = Progress.NONE;
  private long tokens;
  private double stepSeconds;
  private List<RoutingStats> lastRouting = List.of();

  private TrainingRun(TrainingConfig config, TrainingListener listener, BooleanSupplier stop) {
    this.config = config;
    this.folder = new RunFolder(config.run().folder());
    this.listener = listener;
    this.stop = stop;
  }

  /**
   * How a run ended.
   *
   * @param folder of the run
   * @param steps done so far
   * @param checkpoint the newest one
   * @param summary the result, if all steps are done; else the run was stopped
   */
  public record Outcome(
      Path folder, long steps, Optional<Path> checkpoint, Optional<Summary> summary) {}

  /**
   * Begins a run and works on it until it is done or {@code stop} says so.
   *
   * @param config a run without a name is named by the time
   * @param stop asked between steps; a checkpoint is then written
   * @throws MoeException if something is wrong with configuration, text or folder, or the folder
   *     holds a run already
   */
  public static Outcome start(
      TrainingConfig config, TrainingListener listener, BooleanSupplier stop) {
    TrainingConfig named = named(config);
    RunFolder folder = new RunFolder(named.run().folder());
    refuseRun(folder);
    boolean made = !Files.exists(folder.path());
    try (RunLock lock = RunLock.acquire(folder.path())) {
      refuseRun(folder);
      return new TrainingRun(named, listener, stop).work();
    } catch (RuntimeException e) {
      // What failed before the run began leaves nothing behind.
      if (made && !folder.holdsRun()) {
        Folders.delete(folder.path());
      }
      throw e;
    }
  }

  private static void refuseRun(RunFolder folder) {
    if (folder.holdsRun()) {
      throw new MoeException(
          folder.path()
              + ": holds a run already; go on with it by --resume "
              + folder.path()
              + ", or choose another run.name");
    }
  }

  private static TrainingConfig named(TrainingConfig config) {
    if (config.run().name().isPresent()) {
      return config;
    }
    String time =
        LocalDateTime.now(ZoneId.systemDefault())
            .format(DateTimeFormatter.ofPattern("yyyyMMdd-HHmmss"));
    RunSection run = config.run().withName(time);
    for (int i = 2; Files.exists(run.folder()); i++) {
      run = config.run().withName(time + "-" + i);
    }
    return new TrainingConfig(run, config.data(), config.model(), config.moe(), config.train());
  }

  /**
   * Goes on with the run in {@code path} from its newest checkpoint, or from the beginning if it
   * has none.
   *
   * @param overrides changes of its configuration (section.key=value)
   * @throws MoeException if there is no run, or the checkpoint is damaged or of another shape
   */
  public static Outcome resume(
      Path path, List<String> overrides, TrainingListener listener, BooleanSupplier stop) {
    RunFolder folder = new RunFolder(path);
    if (!folder.holdsRun()) {
      throw new MoeException(path + ": no run to resume here (it has no " + RunFolder.CONFIG + ")");
    }
    try (RunLock lock = RunLock.acquire(path)) {
      TrainingConfig read = TrainingConfig.read(folder.config(), overrides);
      Path absolute = path.toAbsolutePath().normalize();
      // The folder may have been moved or renamed since.
      RunSection run =
          new RunSection(
              Optional.of(absolute.getFileName().toString()),
              Optional.ofNullable(path.getParent()).orElse(Path.of("")),
              read.run().seed(),
              read.run().threads(),
              read.run().device());
      TrainingConfig config =
          new TrainingConfig(run, read.data(), read.model(), read.moe(), read.train());
      return new TrainingRun(config, listener, stop).work();
    }
  }

  /** The newest run in {@code runs} that has not ended, by the time of its last change. */
  public static Optional<Path> unfinished(Path runs) {
    return Folders.list(runs).stream()
        .map(RunFolder::new)
        .filter(f -> f.holdsRun() && !Files.exists(f.summary()))
        .max(Comparator.comparingLong(f -> f.config().toFile().lastModified()))
        .map(RunFolder::path);
  }

  private Outcome work() {
    NativeMemory.reuseFreedBlocks(REUSED_BLOCK);
    int threads = config.run().threads();
    Ops.threads(threads == 0 ? Runtime.getRuntime().availableProcessors() : threads);
    Device device =
        (config.run().device() == RunSection.Device.CUDA ? Device.CUDA : Device.CPU).require();
    // What is impossible is told before any time is spent on the text.
    DecoderConfig plan = ModelPlan.of(config, config.data().vocabSize());
    boolean leaks = config.moe().allowLeaks();
    plan.feedForward().stream()
        .flatMap(f -> f.sparse().stream())
        .distinct()
        .flatMap(m -> Validity.check(m, Validity.Use.CAUSAL_TRAINING, leaks).stream())
        .forEach(listener::warning);
    Corpus corpus = Corpus.read(config, folder.tokenizer(), listener);
    Checkpoints checkpoints = folder.checkpoints();
    checkpoints.clean();
    Optional<Checkpoint> checkpoint =
        checkpoints.newest().map(path -> Checkpoint.open(path, corpus));
    SamplerState at =
        checkpoint.map(c -> c.trainer().sampler()).orElse(SamplerState.start(config.run().seed()));
    TrainSection train = config.train();
    Sampler sampler =
        new Sampler(
            corpus.dataset().train(), train.batchSize(), config.data().sequenceLength(), at);
    RandomSource random = new RandomSource(config.run().seed());
    DType dtype = config.model().dtype() == Precision.BF16 ? DType.BF16 : DType.F32;
    listener.stage("making the model");
    try (Decoder model =
            new Decoder(
                ModelPlan.of(
                    config, corpus.tokenizer().vocabSize(), corpus.dataset().domains().size()),
                new ParameterStore(random, device, dtype));
        Trainer trainer = new Trainer(model, train, sampler, new RandomSource(random.nextSeed()))) {
      // What routers learn of the text is state, so a checkpoint has it.
      checkpoint.ifPresentOrElse(c -> c.restore(trainer), () -> model.prepare(corpus.counts()));
      before = checkpoint.map(Checkpoint::progress).orElse(Progress.NONE);
      if (!folder.holdsRun()) {
        corpus.tokenizer().write(folder.tokenizer());
        byte[] toml = config.toToml().getBytes(StandardCharsets.UTF_8);
        AtomicFile.write(folder.config(), toml);
      }
      return train(trainer, corpus, model);
    }
  }

  private Outcome train(Trainer trainer, Corpus corpus, Decoder model) {
    LanguageModel language =
        new LanguageModel(model, corpus.tokenizer(), Set.of(corpus.tokenizer().endOfText()));
    List<String> prompts = model.decodes() ? corpus.unseenPrompts(SAMPLES) : List.of();
    int steps = config.train().steps();
    Optional<Trainer.Validation> validation = Optional.empty();
    try (MetricsLog log = new MetricsLog(folder, trainer.steps(), clock)) {
      listener.begin(folder.path(), trainer.steps(), steps);
      try {
        while (trainer.steps() < steps && !stop.getAsBoolean()) {
          validation = step(trainer, language, corpus, prompts, log);
        }
      } finally {
        listener.end();
      }
      if (trainer.steps() < steps) {
        Path stopped = save(trainer, language, corpus);
        return new Outcome(folder.path(), trainer.steps(), Optional.of(stopped), Optional.empty());
      }
    }
    Trainer.Validation last =
        validation.isPresent() ? validation.get() : trainer.validate(corpus.validation());
    Summary summary = finish(trainer, language, corpus, prompts, last);
    return new Outcome(
        folder.path(), trainer.steps(), folder.checkpoints().newest(), Optional.of(summary));
  }

  /** One step and what is due after it; the validation, if it was. */
  private Optional<Trainer.Validation> step(
      Trainer trainer,
      LanguageModel language,
      Corpus corpus,
      List<String> prompts,
      MetricsLog log) {
    TrainSection train = config.train();
    StepResult result = trainer.step();
    long step = result.step();
    boolean end = step == train.steps();
    tokens += result.tokens();
    stepSeconds += result.seconds();
    lastRouting = result.routing();
    log.add(result);
    listener.step(result);
    Optional<Trainer.Validation> validation = Optional.empty();
    if (end || due(step, train.validateEvery())) {
      Trainer.Validation v = trainer.validate(corpus.validation());
      validation = Optional.of(v);
      listener.validated(step, v);
    }
    boolean checkpoint = end || due(step, train.checkpointEvery());
    if (checkpoint || validation.isPresent() || due(step, train.logEvery())) {
      log.write(step, validation);
    }
    if (!end && due(step, train.sampleEvery()) && !prompts.isEmpty()) {
      listener.sample(step, sample(language, prompts.getFirst()));
    }
    if (checkpoint) {
      listener.checkpoint(save(trainer, language, corpus));
    }
    return validation;
  }

  private static boolean due(long step, int every) {
    return every > 0 && step % every == 0;
  }

  private static Summary.Sample sample(LanguageModel language, String prompt) {
    String text = language.generate(prompt, SAMPLE_TOKENS, SAMPLING, part -> {}).text();
    return new Summary.Sample(prompt, text);
  }

  private Path save(Trainer trainer, LanguageModel language, Corpus corpus) {
    return folder
        .checkpoints()
        .write(
            trainer.steps(),
            path -> Checkpoint.write(path, trainer, language, corpus, progress(), config));
  }

  private Progress progress() {
    return new Progress(
        before.tokens() + tokens,
        before.stepSeconds() + stepSeconds,
        before.seconds() + (System.nanoTime() - started) * 1e-9);
  }

  private Summary finish(
      Trainer trainer,
      LanguageModel language,
      Corpus corpus,
      List<String> prompts,
      Trainer.Validation validation) {
    listener.stage("counting the baselines");
    double order0 = ByteModel.train(0, corpus.dataset().train()).bitsPerByte(corpus.validation());
    double order2 = ByteModel.train(2, corpus.dataset().train()).bitsPerByte(corpus.validation());
    listener.stage("writing the model");
    HfLayout.Choice layout = ModelFolder.save(folder.model(), language.model(), corpus.tokenizer());
    List<Summary.Sample> samples = new ArrayList<>();
    prompts.forEach(prompt -> samples.add(sample(language, prompt)));
    ParameterCount count = language.model().config().parameters();
    Progress done = progress();
    Summary summary =
        new Summary(
            folder.path(),
            folder.model(),
            layout.explanation(),
            corpus.source(),
            corpus.dataset().train().documents(),
            corpus.dataset().train().size(),
            corpus.tokenizer().vocabSize(),
            count.total(),
            count.active(),
            trainer.steps(),
            trainer.skipped(),
            done.tokens(),
            validation.loss(),
            validation.bitsPerByte(),
            order0,
            order2,
            done.stepSeconds() > 0 ? done.tokens() / done.stepSeconds() : 0,
            done.seconds(),
            NativeMemory.peakResident(),
            lastRouting.stream().map(RoutingStats::imbalance).toList(),
            samples);
    Json.write(folder.summary(), summary::writeTo);
    report(trainer, corpus);
    return summary;
  }

  private void report(Trainer trainer, Corpus corpus) {
    listener.stage("writing the report");
    RoutingAnalysis.of(
            trainer.model(),
            corpus.validation(),
            corpus.dataset().domains(),
            corpus.tokenizer(),
            ANALYSED_BATCHES)
        .write(folder.routing());
    Report.write(folder.path());
  }
}
