//! [`Place`]: where a report goes.

use std::fs;
use std::path::{Path, PathBuf};

use super::page::page;
use super::results::Results;

/// A page, and a folder for its plots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    page: PathBuf,
    plots: PathBuf,
    /// How the page calls the folder: `benchmarks/`, or nothing where it is its own.
    prefix: String,
}

impl Place {
    /// `NAME.md` is a page, with its plots in the folder `name` beside it; all else is a folder for both. The
    /// folders are made at once: one that cannot be made is found out before the work.
    ///
    /// # Errors
    /// When they cannot be made.
    pub fn open(path: &Path) -> Result<Self, String> {
        let place = Self::at(path);
        fs::create_dir_all(&place.plots)
            .map_err(|error| format!("cannot make {}: {error}", place.plots.display()))?;
        Ok(place)
    }

    fn at(path: &Path) -> Self {
        if path.extension().is_none_or(|extension| extension != "md") {
            return Self { page: path.join("README.md"), plots: path.to_owned(), prefix: String::new() };
        }
        let stem = path.file_stem().unwrap_or_default().to_string_lossy().to_lowercase();
        Self { page: path.to_owned(), plots: path.with_file_name(&stem), prefix: format!("{stem}/") }
    }

    /// Writes the page and its plots, and says where they are. Plots of an earlier report are taken away.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn write(&self, results: &Results) -> Result<String, String> {
        let (page, plots) = page(results, &self.prefix);
        let put = |path: &Path, text: &str| {
            fs::write(path, text).map_err(|error| format!("cannot write {}: {error}", path.display()))
        };
        self.clear();
        put(&self.page, &page)?;
        for plot in &plots {
            put(&self.plots.join(&plot.name), &plot.svg)?;
        }
        Ok(format!("the report is {}, with {} plots", self.page.display(), plots.len()))
    }

    /// A plot that the new report does not have would stay for ever.
    fn clear(&self) {
        for file in fs::read_dir(&self.plots).into_iter().flatten().flatten() {
            let path = file.path();
            let first = fs::read_to_string(&path).unwrap_or_default();
            if path.extension().is_some_and(|extension| extension == "svg")
                && first.contains(super::svg::MARK)
            {
                let _ = fs::remove_file(path);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_has_its_plots_beside_it() {
        let place = Place::at(Path::new("docs/BENCHMARKS.md"));
        assert_eq!(place.page, Path::new("docs/BENCHMARKS.md"));
        assert_eq!((&*place.plots, &*place.prefix), (Path::new("docs/benchmarks"), "benchmarks/"));
    }

    #[test]
    fn a_folder_has_all() {
        let place = Place::at(Path::new("report"));
        assert_eq!((&*place.page, &*place.plots), (Path::new("report/README.md"), Path::new("report")));
        assert_eq!(place.prefix, "");
    }
}
