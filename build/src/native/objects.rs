//! The objects of a build, and how each is made.
//!
//! In: libraries and their texts. Out: one checked object a (kernel, dtype, level, stage), one a
//! CUDA image and one a descriptor. It never runs a compiler for something that is in the cache.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tilefold_templates::flags;

use super::cache::{Cache, Entry, Key};
use super::compiler::{Compiler, Level};
use super::cuda::{self, Cuda};
use super::includes::Texts;
use super::run_tool;
use crate::Error;
use crate::files::{self, Durable};
use crate::manifest::{Kernel, Library};
use crate::process;
use crate::progress::{Group, Outcome};

/// A text to compile, with the hash of it and its headers.
#[derive(Clone)]
struct Source {
    path: PathBuf,
    digest: String,
}

/// A kernel's CUDA text and what compiles it.
#[derive(Clone)]
struct Image<'a> {
    cuda: &'a Cuda,
    source: Source,
}

/// What an object holds.
enum Part<'a> {
    Image(Image<'a>),
    /// One stage, so that no object takes longer than a reduction does.
    Cpu(Level, Source, usize),
    /// Says how long the image is, so it is made after it.
    Descriptor(Source, Option<Image<'a>>),
}

/// One object to make.
pub struct Object<'a> {
    kernel: &'a Kernel,
    part: Part<'a>,
    /// The library it goes to.
    pub library: usize,
    /// The progress group it counts in.
    pub group: usize,
}

/// What objects are made with.
pub struct Workshop<'a> {
    /// The generated folder.
    pub dir: &'a Path,
    /// The C++ compiler.
    pub compiler: &'a Compiler,
    /// The levels to compile for.
    pub levels: &'a [Level],
    /// nvcc, if images are made.
    pub cuda: Option<&'a Cuda>,
    /// Where objects are kept.
    pub cache: &'a Cache,
    /// The time one compiler may take.
    pub limit: Duration,
}

/// One run of a tool: from a text to a file of the cache.
struct Recipe {
    makes: Makes,
    subject: PathBuf,
    key: String,
    command: Command,
}

/// What a recipe makes, which says with what.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Makes {
    Object,
    Fatbin,
}

impl Makes {
    fn tool(self) -> &'static str {
        match self {
            Makes::Object => "the C++ compiler",
            Makes::Fatbin => "nvcc",
        }
    }

    fn extension(self) -> &'static str {
        match self {
            Makes::Object => "o",
            Makes::Fatbin => "fatbin",
        }
    }
}

/// The folders that texts of a generated folder include from.
fn include_folders(dir: &Path) -> Vec<PathBuf> {
    vec![dir.join("include"), dir.to_path_buf()]
}

impl Object<'_> {
    /// Whether it can only be made when the others are there.
    pub fn is_last(&self) -> bool {
        matches!(self.part, Part::Descriptor(_, Some(_)))
    }
}

impl<'a> Workshop<'a> {
    /// Every object of these libraries. Images come first: they take longest.
    pub fn objects(
        &self,
        libraries: &'a [Library],
    ) -> Result<(Vec<Object<'a>>, Vec<Group>), Error> {
        let mut texts = Texts::new(include_folders(self.dir));
        let mut groups: Vec<Group> = Vec::new();
        let mut objects = Vec::new();
        for (library, Library { formula, kernels }) in libraries.iter().enumerate() {
            for kernel in kernels {
                for part in self.parts(kernel, &mut texts)? {
                    let group = group_of(&mut groups, formula, kernel, &part);
                    objects.push(Object { kernel, part, library, group });
                }
            }
        }
        // Stable: within a library the order stays the manifest's.
        objects.sort_by_key(|o| !matches!(o.part, Part::Image(_)));
        Ok((objects, groups))
    }

    fn parts(&self, kernel: &Kernel, texts: &mut Texts) -> Result<Vec<Part<'a>>, Error> {
        let mut source = |path: &str| {
            let path = self.dir.join(path);
            let digest = texts.digest(&path)?;
            Ok(Source { path, digest })
        };
        let image = match (self.cuda, &kernel.cu) {
            (Some(cuda), Some(cu)) => Some(Image { cuda, source: source(cu)? }),
            _ => None,
        };
        let cpp = source(&kernel.cpp)?;
        let descriptor = Part::Descriptor(source(&kernel.desc)?, image.clone());
        let of_level = |&level: &Level| {
            let cpp = cpp.clone();
            (0..kernel.stages).map(move |stage| Part::Cpu(level, cpp.clone(), stage))
        };
        let cpu = self.levels.iter().flat_map(of_level);
        Ok(image.into_iter().map(Part::Image).chain(cpu).chain([descriptor]).collect())
    }

    /// The object, if it needs no compiler.
    pub fn find(&self, object: &Object) -> Option<Entry> {
        let kernel = object.kernel;
        match &object.part {
            Part::Image(image) => {
                let fatbin = self.stored(&self.fatbin(kernel, image))?;
                self.stored(&self.wrapper(kernel, &fatbin))
            }
            Part::Cpu(level, source, stage) => {
                self.stored(&self.cpu(kernel, *level, source, *stage))
            }
            Part::Descriptor(source, image) => {
                let fatbin = match image {
                    Some(image) => Some(self.stored(&self.fatbin(kernel, image))?),
                    None => None,
                };
                self.stored(&self.descriptor(kernel, source, fatbin.as_ref()))
            }
        }
    }

    /// The object, compiled if need be.
    pub fn make(&self, object: &Object) -> Result<(Entry, Outcome), Error> {
        if let Some(entry) = self.find(object) {
            return Ok((entry, Outcome::Cached));
        }
        let kernel = object.kernel;
        let entry = match &object.part {
            Part::Image(image) => {
                let fatbin = self.stored_or_run(self.fatbin(kernel, image))?;
                self.wrap(kernel, &fatbin)?
            }
            Part::Cpu(level, source, stage) => {
                self.run(self.cpu(kernel, *level, source, *stage))?
            }
            Part::Descriptor(source, image) => {
                let image = image.as_ref().map(|i| self.fatbin(kernel, i));
                let fatbin = image.map(|recipe| self.stored_or_run(recipe)).transpose()?;
                self.run(self.descriptor(kernel, source, fatbin.as_ref()))?
            }
        };
        Ok((entry, Outcome::Compiled))
    }

    fn cpu(&self, kernel: &Kernel, level: Level, source: &Source, stage: usize) -> Recipe {
        let mut command = self.compiler.cpu(level);
        command.args(kernel.dtype.flags().kernel).arg(flags::stage(stage)).arg("-c");
        self.compile(Makes::Object, command, &self.compiler.identity(), source)
    }

    fn fatbin(&self, kernel: &Kernel, image: &Image) -> Recipe {
        let mut command = image.cuda.fatbin();
        command.args(kernel.dtype.flags().kernel);
        self.compile(Makes::Fatbin, command, &image.cuda.identity(), &image.source)
    }

    fn descriptor(&self, kernel: &Kernel, source: &Source, fatbin: Option<&Entry>) -> Recipe {
        let mut command = self.compiler.descriptor();
        command.args(self.levels.iter().map(|level| level.flags().descriptor));
        if let Some(fatbin) = fatbin {
            command.arg(format!("-DTF_HAS_IMAGE={}", fatbin.len));
        }
        command.args(kernel.dtype.flags().descriptor).arg("-c");
        self.compile(Makes::Object, command, &self.compiler.identity(), source)
    }

    /// Completes a command that has its flags.
    fn compile(
        &self,
        makes: Makes,
        mut command: Command,
        identity: &str,
        source: &Source,
    ) -> Recipe {
        // Up to here the command says nothing about this machine's folders.
        let mut key = Key::new(makes.extension());
        key.part(identity).part(&source.digest);
        for arg in command.get_args() {
            key.part(arg.as_encoded_bytes());
        }
        for folder in include_folders(self.dir) {
            command.arg("-I").arg(folder);
        }
        command.arg(&source.path);
        Recipe { makes, subject: source.path.clone(), key: key.finish(), command }
    }

    /// The recipe that puts a fatbin into an object; the text to assemble is added when it runs.
    fn wrapper(&self, kernel: &Kernel, fatbin: &Entry) -> Recipe {
        let mut key = Key::new("image");
        key.part(self.compiler.identity()).part(stub_of(kernel, fatbin)).part(&fatbin.hash);
        let mut command = self.compiler.assembler();
        // The text names the fatbin without its folder.
        command.current_dir(self.cache.objects()).arg("-c");
        let subject = fatbin.path.clone();
        Recipe { makes: Makes::Object, subject, key: key.finish(), command }
    }

    fn wrap(&self, kernel: &Kernel, fatbin: &Entry) -> Result<Entry, Error> {
        let text = self.cache.temporary();
        files::write(&text, stub_of(kernel, fatbin).as_bytes(), Durable::No)?;
        let mut recipe = self.wrapper(kernel, fatbin);
        recipe.command.arg(&text);
        let entry = self.run(recipe);
        files::remove(&text)?;
        entry
    }

    fn stored(&self, recipe: &Recipe) -> Option<Entry> {
        self.cache.find(&recipe.key, recipe.makes.extension())
    }

    fn stored_or_run(&self, recipe: Recipe) -> Result<Entry, Error> {
        self.stored(&recipe).map_or_else(|| self.run(recipe), Ok)
    }

    fn run(&self, mut recipe: Recipe) -> Result<Entry, Error> {
        let temporary = self.cache.temporary();
        recipe.command.arg("-o").arg(&temporary);
        let Recipe { makes, .. } = recipe;
        let done = run_tool(makes.tool(), &recipe.subject, &mut recipe.command, self.limit);
        let stored = done.and_then(|done| {
            let bytes = fs::read(&temporary).unwrap_or_default();
            let problem = match bytes.is_empty() {
                true => "said that it succeeded but wrote nothing",
                false if self.is_whole(makes, &bytes) => {
                    return self.cache.store(&recipe.key, makes.extension(), &temporary);
                }
                false => "said that it succeeded but wrote something else than an object",
            };
            Err(Error::Tool {
                tool: makes.tool(),
                problem: problem.into(),
                subject: recipe.subject.display().to_string(),
                command: process::command_line(&recipe.command),
                output: done.tail(),
            })
        });
        // Gone if it was stored; what a failed compiler left is litter.
        let _ = fs::remove_file(&temporary);
        stored
    }

    fn is_whole(&self, makes: Makes, bytes: &[u8]) -> bool {
        match makes {
            Makes::Fatbin => bytes.starts_with(&cuda::FATBIN_MAGIC),
            Makes::Object => self.compiler.is_object(bytes),
        }
    }
}

fn stub_of(kernel: &Kernel, fatbin: &Entry) -> String {
    let file = fatbin.path.file_name().map(OsStr::to_string_lossy).unwrap_or_default();
    flags::image_text(&format!("{}_{}", kernel.symbol, kernel.dtype.name()), &file)
}

fn group_of(groups: &mut Vec<Group>, formula: &str, kernel: &Kernel, part: &Part) -> usize {
    let dtype = kernel.dtype.name();
    let target = match part {
        Part::Image(_) => "cuda",
        Part::Cpu(level, ..) => level.name(),
        Part::Descriptor(..) => "descriptor",
    };
    let same = |g: &Group| g.formula == formula && g.dtype == dtype && g.target == target;
    let index = groups.iter().position(same).unwrap_or_else(|| {
        groups.push(Group { formula: formula.to_string(), dtype, target, objects: 0 });
        groups.len() - 1
    });
    groups[index].objects += 1;
    index
}
